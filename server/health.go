package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// readyTime bounds how long a part may take to say that it is ready.
const readyTime = 5 * time.Second

// health knows whether the server can answer.
type health struct {
	// parts are asked by name; nil means that the part is ready.
	parts map[string]func(context.Context) error
	log   *slog.Logger
}

// problems returns what the parts that are not ready say.
func (h *health) problems(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	out := map[string]string{}
	for name, ready := range h.parts {
		if err := ready(ctx); err != nil {
			h.log.WarnContext(ctx, "not ready", "part", name, "err", err)
			out[name] = text(err)
		}
	}
	return out
}

// routes registers what every HTTP port has.
func (h *health) routes(rs *routes) {
	type ok struct {
		Status string `json:"status"`
	}
	rs.open("GET /health/alive", failKeto, func(w http.ResponseWriter, _ *http.Request) error {
		return reply(w, http.StatusOK, "", ok{"ok"})
	})
	rs.open("GET /health/ready", failKeto, func(w http.ResponseWriter, r *http.Request) error {
		if problems := h.problems(r.Context()); len(problems) > 0 {
			return reply(w, http.StatusServiceUnavailable, "", map[string]any{"errors": problems})
		}
		return reply(w, http.StatusOK, "", ok{"ok"})
	})
	rs.open("GET /version", failKeto, func(w http.ResponseWriter, _ *http.Request) error {
		return reply(w, http.StatusOK, "", map[string]string{"version": Version()})
	})
}

// healthService is grpc.health.v1 for the services of one listener. Each serves
// until the listener drains; whether the store answers is asked at
// /health/ready.
type healthService struct{ *grpchealth.Server }

func (s healthService) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	response, err := s.Server.Check(ctx, req)
	if status.Code(err) == codes.NotFound {
		return nil, status.Errorf(codes.NotFound, "unknown service %s", req.GetService())
	}
	return response, err
}
