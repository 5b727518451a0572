package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

const (
	// shutdownLimit bounds a shutdown that open requests hold up. Ending there
	// loses nothing: every acknowledged write is on disk.
	shutdownLimit = 5 * time.Second

	// startLimit is far beyond any start that will succeed.
	startLimit = 2 * time.Minute

	readyPollInterval = 50 * time.Millisecond
)

// serve runs etcd, the API server and the controllers until ctx ends, and calls
// ready once clients find what every cluster has.
func serve(ctx context.Context, opts options, ready func()) error {
	lock, err := lockDir(opts.dataDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := listen(opts.dataDir, opts.address)
	if err != nil {
		return err
	}
	defer listener.Close()
	creds, err := loadCredentials(filepath.Join(opts.dataDir, "pki"), listener.Addr().(*net.TCPAddr).IP)
	if err != nil {
		return err
	}
	etcd, err := startEtcd(opts.dataDir)
	if err != nil {
		return err
	}
	defer etcd.close()

	server, err := configure(ctx, listener, append(apiServerFlags(creds, etcd.endpoint()), opts.apiServerFlags...))
	if err != nil {
		return fmt.Errorf("configure kube-apiserver: %w", err)
	}
	admin := clientConfig(listener.Addr().String(), creds)
	if err := writeKubeconfig(filepath.Join(opts.dataDir, "kubeconfig"), admin); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return runUntilDone(ctx, server, admin, ready)
}

// apiServerFlags are the settings in which this server differs from a stock one.
func apiServerFlags(creds credentials, etcd string) []string {
	return []string{
		"--etcd-servers=" + etcd,
		"--cert-dir=" + creds.dir,
		"--token-auth-file=" + creds.tokenFile,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + creds.serviceAccountKeyFile,
		"--service-account-signing-key-file=" + creds.serviceAccountKeyFile,
		"--service-cluster-ip-range=10.0.0.0/24",
		// Nothing makes a default service account in each namespace, without
		// which this plugin refuses every pod.
		"--disable-admission-plugins=ServiceAccount",
		// There is no other API server to agree with about the endpoints of the
		// kubernetes service, and loopback addresses are refused there.
		"--endpoint-reconciler-type=none",
		// Without it an open watch holds up the shutdown for a minute.
		"--shutdown-watch-termination-grace-period=1s",
	}
}

// configure makes the API server's configuration from flags, as its own command
// does, and generates the serving certificate when there is none.
func configure(ctx context.Context, listener net.Listener, flags []string) (apiserver.CompletedOptions, error) {
	s := apiserver.NewServerRunOptions()
	// One server: a new CRD needs no wait for others to see it.
	s.MasterCount = 1
	s.SecureServing.Listener = listener
	s.SecureServing.BindAddress = listener.Addr().(*net.TCPAddr).IP

	fs := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, named := range s.Flags().FlagSets {
		fs.AddFlagSet(named)
	}
	if err := fs.Parse(flags); err != nil {
		return apiserver.CompletedOptions{}, err
	}
	if fs.NArg() > 0 {
		return apiserver.CompletedOptions{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return apiserver.CompletedOptions{}, err
	}
	if err := setUpLogging(ctx, s, fs); err != nil {
		return apiserver.CompletedOptions{}, err
	}
	completed, err := s.Complete(ctx)
	if err != nil {
		return completed, err
	}
	return completed, errors.Join(completed.Validate()...)
}

// runUntilDone serves until parent ends, and returns nil then.
func runUntilDone(parent context.Context, server apiserver.CompletedOptions, admin *rest.Config, ready func()) error {
	group, ctx := errgroup.WithContext(parent)
	group.Go(func() error {
		if err := app.Run(ctx, server); err != nil {
			return fmt.Errorf("kube-apiserver: %w", err)
		}
		if ctx.Err() == nil {
			return errors.New("kube-apiserver ended by itself")
		}
		return nil
	})
	group.Go(func() error {
		err := waitReady(ctx, admin)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			logGate.open.Store(true)
			ready()
		}
		return err
	})
	group.Go(func() error { return startControllers(ctx, admin) })

	stopped := make(chan error, 1)
	go func() { stopped <- group.Wait() }()
	<-ctx.Done()
	logGate.open.Store(false)
	select {
	case err := <-stopped:
		return err
	case <-time.After(shutdownLimit):
	}
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// waitReady returns when the API server calls itself ready (the bootstrap of RBAC
// is part of that) and the namespaces of every cluster exist.
func waitReady(ctx context.Context, admin *rest.Config) error {
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, readyPollInterval, startLimit, true, func(ctx context.Context) (bool, error) {
		last = probe(ctx, client)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("API not ready after %v: %w", startLimit, last)
	}
	return nil
}

// probe returns what is missing for a client to start.
func probe(ctx context.Context, client kubernetes.Interface) error {
	if err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	return nil
}
