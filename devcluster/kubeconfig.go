package main

import (
	"fmt"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// clientConfig is how this process, and its user through the kubeconfig, reaches
// the API server on address as a cluster administrator.
func clientConfig(address string, creds credentials) *rest.Config {
	return &rest.Config{
		Host:            (&url.URL{Scheme: "https", Host: address}).String(),
		BearerToken:     creds.token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: creds.certificateFile},
		// A negative rate lifts client-go's limit of 5 requests a second.
		QPS: -1,
	}
}

// writeKubeconfig writes cfg to path for kubectl and client-go. The certificate
// is copied into it, so that the file works wherever it is moved.
func writeKubeconfig(path string, cfg *rest.Config) error {
	const name = "devcluster"

	cfg = rest.CopyConfig(cfg)
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return fmt.Errorf("read serving certificate: %w", err)
	}
	raw, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cfg.Host, CertificateAuthorityData: cfg.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: cfg.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	return writeFile(path, raw)
}
