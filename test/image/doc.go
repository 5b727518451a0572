// Package image has tests of the container image as others find it: buildah
// reads what the module release writes and builds the Dockerfile, and the
// entrypoint runs on a read-only root as the image's user.
package image
