package status

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tailwater/internal/door"
)

// maxClients is how many connections are open at once. Every one takes a file
// descriptor, which the stream and the lake need more.
const maxClients = 256

// ServerOptions are the options of NewServer.
type ServerOptions struct {
	// Listener is served and closed by the server.
	Listener net.Listener
	Source   Source
	// Token is the bearer token of every POST. Empty refuses them all.
	Token string
	// Actions are the POST routes below /api/v1/, by ServeMux pattern such as
	// "shards/{shard}/retry".
	Actions map[string]Action
	Log     *slog.Logger
}

// Action does what a POST asks for, and returns the answer's body; nil is
// {"ok":true}. A *Problem is shown as it is; any other error is a 500.
type Action func(r *http.Request) (any, error)

// Problem is an error of the API, in the members of RFC 9457.
type Problem struct {
	Status     int    `json:"status"`
	Title      string `json:"title"`
	Code       string `json:"code"`
	Detail     string `json:"detail,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Error returns title and detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Server serves /-/healthy, /-/ready, /metrics, GET /api/v1/status and the
// authenticated POSTs.
type Server struct {
	o    ServerOptions
	http *http.Server
}

// NewServer makes a server; Run serves it.
func NewServer(o ServerOptions) *Server {
	reg := prometheus.NewRegistry()
	reg.MustRegister(newCollector(o.Source), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &Server{o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", s.healthy)
	mux.HandleFunc("GET /-/ready", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /api/v1/status", s.status)
	for pattern, action := range o.Actions {
		mux.HandleFunc("POST /api/v1/"+pattern, s.action(action))
	}
	mux.HandleFunc("/", s.notFound)
	s.http = &http.Server{
		Handler:           http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 1<<20)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Run serves until ctx ends, then gives open requests two seconds.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.http.Shutdown(grace); err != nil {
			_ = s.http.Close()
		}
	})
	defer stop()
	if err := s.http.Serve(door.Limit(s.o.Listener, maxClients)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http on %s: %w", s.o.Listener.Addr(), err)
	}
	return nil
}

// healthy says that the process answers, and nothing more.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// Readiness is the body of /-/ready.
type Readiness struct {
	Ready    bool     `json:"ready"`
	NotReady []string `json:"not_ready,omitempty"`
}

// Ready says whether the process makes progress: at least one of the shards that
// are its own streams, if there are any, none of the sinks is in error, and the
// stream takes events. One that stands by, for others have the shards, is ready.
func Ready(s Snapshot) Readiness {
	var r Readiness
	streaming, own := 0, 0
	for _, sh := range s.Shards {
		if sh.State == Elsewhere {
			continue
		}
		own++
		if sh.State == Streaming {
			streaming++
		} else {
			r.NotReady = append(r.NotReady, fmt.Sprintf("shard %s is %s", sh.Shard, sh.State))
		}
	}
	r.Ready = streaming > 0 || own == 0
	for _, m := range s.Metrics {
		if m.Error != "" {
			r.Ready, r.NotReady = false, append(r.NotReady, "metric "+m.Metric+" does not move")
		}
	}
	for _, l := range s.Lake {
		if l.Error != "" {
			r.Ready, r.NotReady = false, append(r.NotReady, "lake table "+l.View+" does not move")
		}
	}
	if s.Stream.Error != "" || s.Stream.Paused {
		r.Ready, r.NotReady = false, append(r.NotReady, "the stream takes no events")
	}
	return r
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	r := Ready(s.o.Source.Snapshot())
	code := http.StatusOK
	if !r.Ready {
		code = http.StatusServiceUnavailable
	}
	s.json(w, code, "application/json", r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	s.json(w, http.StatusOK, "application/json", s.o.Source.Snapshot())
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.problem(w, &Problem{Status: http.StatusNotFound, Title: "no such resource", Code: "not_found",
		Detail:     r.Method + " " + r.URL.Path,
		Suggestion: "GET /api/v1/status, /metrics, /-/healthy and /-/ready are served here"})
}

// action wraps an Action in the check of the token.
func (s *Server) action(do Action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + s.o.Token
		if s.o.Token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tailwater"`)
			s.problem(w, &Problem{Status: http.StatusUnauthorized, Title: "token needed", Code: "unauthorized",
				Suggestion: "send Authorization: Bearer with the content of the file api-token in the state directory"})
			return
		}
		answer, err := do(r)
		if answer == nil {
			answer = map[string]bool{"ok": true}
		}
		var p *Problem
		switch {
		case err == nil:
			s.json(w, http.StatusAccepted, "application/json", answer)
		case errors.As(err, &p):
			s.problem(w, p)
		default:
			s.problem(w, &Problem{Status: http.StatusInternalServerError, Title: "request failed", Code: "internal", Detail: err.Error()})
		}
	}
}

func (s *Server) problem(w http.ResponseWriter, p *Problem) {
	s.json(w, p.Status, "application/problem+json", p)
}

func (s *Server) json(w http.ResponseWriter, code int, kind string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "encode answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if _, err := w.Write(append(b, '\n')); err != nil {
		s.o.Log.Debug("answer not delivered", "error", err)
	}
}
