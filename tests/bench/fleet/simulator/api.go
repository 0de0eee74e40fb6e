package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const retryPause = 500 * time.Millisecond

// apiClient asks the API server as the holder of a token or of a client certificate.
type apiClient struct {
	server string
	token  string
	client *http.Client
}

// apiError is a refusal of the API server.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the API server answers %d: %s", e.status, e.text)
}

func hasStatus(err error, status int) bool {
	var refusal *apiError
	return errors.As(err, &refusal) && refusal.status == status
}

func newClient(server string, authority []byte, token string, pair *tls.Certificate) *apiClient {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	configuration := &tls.Config{RootCAs: roots}
	if pair != nil {
		configuration.Certificates = []tls.Certificate{*pair}
	}
	transport := &http.Transport{TLSClientConfig: configuration, ForceAttemptHTTP2: true}
	return &apiClient{server: server, token: token, client: &http.Client{Transport: transport}}
}

func (c *apiClient) close() { c.client.CloseIdleConnections() }

// open sends a request, and returns the body of an answer that is not a refusal.
func (c *apiClient) open(
	within context.Context, method, path string, body any,
) (io.ReadCloser, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(within, method, c.server+path, &content)
	if err != nil {
		return nil, err
	}
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	request.Header.Set("Content-Type", kind)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return nil, &apiError{answer.StatusCode, string(text)}
	}
	return answer.Body, nil
}

// call sends a request, and reads the answer into `into` unless that is nil.
func (c *apiClient) call(within context.Context, method, path string, body, into any) error {
	answer, err := c.open(within, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		_, err = io.Copy(io.Discard, answer)
		return err
	}
	return json.NewDecoder(answer).Decode(into)
}

// insist calls until it succeeds: a new token or role is not known everywhere at once.
func (c *apiClient) insist(within context.Context, method, path string, body, into any) error {
	for {
		err := c.call(within, method, path, body, into)
		if err == nil || hasStatus(err, http.StatusConflict) {
			return err
		}
		select {
		case <-within.Done():
			return fmt.Errorf("no success in time; the last try: %w", err)
		case <-time.After(retryPause):
		}
	}
}
