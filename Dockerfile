# The server in a small image, not as root.
#
#   docker build -t mue .                                                  CPU
#   docker build -t mue:gpu --target gpu --build-arg FEATURES=wgpu .       with a GPU through Vulkan

FROM rust:1.95-bookworm AS build
# Of the crate mue-cli; `wgpu` for GPUs.
ARG FEATURES=""
WORKDIR /src
COPY . .
# The caches outlive the layer: a change of a line does not build burn again.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package mue-cli --features "$FEATURES" \
    && cp target/release/mue /usr/local/bin/mue

FROM debian:bookworm-slim AS base
# The first process of a container ignores signals that it has no handler for; this one passes them on.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 mue \
    && useradd --uid 10001 --gid mue --home-dir /var/lib/mue --create-home --shell /usr/sbin/nologin mue
COPY --from=build /usr/local/bin/mue /usr/local/bin/mue
# Kernels that are tuned on a GPU are cached in the home directory; a volume there keeps them.
WORKDIR /var/lib/mue
ENV HOME=/var/lib/mue MUE_LISTEN=0.0.0.0:8080
EXPOSE 8080
USER 10001:10001
# The binary asks itself, so that the image needs no curl. It asks where MUE_LISTEN says, so change the address there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["mue", "health"]
ENTRYPOINT ["tini", "--", "mue"]
CMD ["serve"]

FROM base AS gpu
USER root
# The Vulkan loader, Mesa's drivers, and what NVIDIA's needs that the container toolkit mounts.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers libegl1 libxext6 \
    && rm -rf /var/lib/apt/lists/*
ENV MUE_DEVICE=wgpu NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility
USER 10001:10001

# The last stage is what is built unless a target is named.
FROM base AS cpu
