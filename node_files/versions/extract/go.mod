module extract

go 1.18
