package identity

// maxPage bounds lists.
const maxPage = 1000
