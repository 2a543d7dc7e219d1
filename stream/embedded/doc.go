// Package embedded is a stream.Log in a directory of this process.
package embedded
