package server

// publicRoutes is what people and applications reach without an API key: they
// identify themselves by the protocols that are spoken there.
func (c *core) publicRoutes(rs *routes) {
	c.publicOAuth(rs)
	c.pageRoutes(rs)
	c.identityRoutes(rs)
}
