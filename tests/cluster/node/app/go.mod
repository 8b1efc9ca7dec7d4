module meshsniff.test/app

go 1.26
