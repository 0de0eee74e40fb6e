"""The resources of the program, a component a file, and the settings that they come from."""
