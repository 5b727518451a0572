// Package etcdlog silences the log of etcd's client inside kube-apiserver, whose
// retries say nothing that the API server's own errors do not.
//
// The API server makes that logger while its packages are initialized, and offers
// no setting for it, so that what it is made from has to change before. Go
// initializes packages in the order of their import paths as far as their imports
// allow, and this one imports nearly nothing. Should that order change, the lines
// are back on stderr and no harm is done.
package etcdlog

import "go.etcd.io/etcd/client/pkg/v3/logutil"

func init() {
	logutil.DefaultZapLoggerConfig.OutputPaths = nil
}
