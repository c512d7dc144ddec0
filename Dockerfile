# syntax=docker/dockerfile:1

# Builds the program. Debian 12 here and below, so that both have the same C library.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --features traces && cp target/release/towline /towline

# Runs it: no shell, no package manager. It writes no file, so that its root may be read-only:
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 45 towline
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /towline /usr/local/bin/towline
COPY settings /etc/towline

# The number, so that an orchestrator can see that it is not root.
USER 65532:65532

# The listener of the shipped settings; they bind it to 127.0.0.1, so give
# TOWLINE__LISTENER__WS__BIND=0.0.0.0:9139 to reach it from outside. The admin address stays inside: the
# health check asks it there.
EXPOSE 9139
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 \
    CMD ["/usr/local/bin/towline", "health"]

# SIGTERM drains (see [drain] in the settings), which may take 42 seconds: stop it with a longer timeout
# than Docker's 10.
ENTRYPOINT ["/usr/local/bin/towline"]
CMD ["run", "--config", "/etc/towline/default.toml"]
