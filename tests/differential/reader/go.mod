module reader

go 1.26
