# The gateway's image, for those who build with a container engine; `make image`
# writes the same without one. Its context is what `make image` leaves in
# bin/image/rootfs: the static binary and the certificates of public authorities.
#
#   make image
#   docker build --file docker/gateway-service.Dockerfile --platform linux/amd64 \
#     --build-arg VERSION="$(git describe --tags --always --dirty)" \
#     --build-arg REVISION="$(git rev-parse HEAD)" \
#     --tag gateway-service bin/image/rootfs
FROM scratch

# Set by the engine from --platform.
ARG TARGETOS
ARG TARGETARCH

COPY ${TARGETOS}-${TARGETARCH}/ /

# By number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 65532:65532
WORKDIR /
EXPOSE 8080 9090
ENTRYPOINT ["/gateway"]
CMD ["serve", "--config", "/etc/gateway/gateway.yaml"]

ARG VERSION=devel
ARG REVISION=
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="gateway-service" \
      org.opencontainers.image.description="Signal gateway for Kubernetes remediation" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
