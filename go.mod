module github.com/cardea-iam/cardea

go 1.26
