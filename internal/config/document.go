package config

// document is the text of a file and where each key stands in it.
type document struct{}
