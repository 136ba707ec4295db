# docker build -t depickle .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/src:ro" depickle scan
# As oneself: git reads repositories of their owner alone.
FROM rust:1.95-slim-bookworm AS build
# C and make for libgit2 and jemalloc; what Debian's release has, so without versions.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY transforms transforms
# Cargo.toml names files of these.
COPY benches benches
COPY tests tests
RUN cargo build --release --locked --bin depickle

FROM debian:bookworm-slim
# git and ssh to fetch, certificates for forges.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 depickle
COPY --from=build /build/target/release/depickle /usr/local/bin/depickle
COPY LICENSE /usr/share/doc/depickle/LICENSE
USER 10001
WORKDIR /src
ENTRYPOINT ["depickle"]
CMD ["--help"]
