# Mooring in a container: `docker build -t mooring .`
# BASE must be a Debian with Node 24 and npm; set it to your own mirror where Docker Hub is out of reach.
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /app
# Packages first: they change less often than the sources, and their layer is kept.
COPY package.json package-lock.json ./
# No script of a package runs. Optional packages stay: koffi's binary is one.
RUN npm ci --ignore-scripts --include=dev --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
    && npm ci --ignore-scripts --omit=dev --no-audit --no-fund

FROM ${BASE}
# git does the syncing; tini collects the children and passes signals on; flock and timeout are in the base.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /data /sites \
    && chown 10001:10001 /data /sites \
    && chmod 0700 /data
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY config ./config
COPY views ./views
COPY public ./public
ENV NODE_ENV=production \
    MOORING_STATE=/data \
    MOORING_SITES=/sites \
    MOORING_HOST=0.0.0.0 \
    MOORING_PORT=7420
USER 10001:10001
VOLUME /data
EXPOSE 7420
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MOORING_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "dist/main.js", "serve"]
