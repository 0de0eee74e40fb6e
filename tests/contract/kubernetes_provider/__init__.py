"""What the program relies on in the official provider `kubernetes`, on a real API server.

The provider that the lab builds is 4.25, older than the SDK that the program pins. Where they
differ, a test says so and holds for both.
"""
