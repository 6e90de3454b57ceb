import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

/** A line between the daemon and GitLab that breaks on order. */
export interface CuttingProxy {
  readonly port: number;
  /** Breaks each connection after so many bytes from GitLab, until mended. */
  cutAfter(bytes: number): void;
  /** Passes nothing on in either direction, until mended. */
  stall(): void;
  mend(): void;
  /** How many connections were cut, and how many pieces of a stream had to wait. */
  readonly met: { cut: number; stalled: number };
  close(): Promise<void>;
}

export async function cuttingProxy(to: { host: string; port: () => number }): Promise<CuttingProxy> {
  const met = { cut: 0, stalled: 0 };
  const sockets = new Set<Socket>();
  const paused = new Set<Socket>();
  let limit = Number.POSITIVE_INFINITY;
  let stalls = false;

  const pass = (from: Socket, into: Socket, bytes: Buffer): void => {
    if (!into.destroyed) into.write(bytes);
    if (!stalls) return;
    met.stalled += 1;
    from.pause();
    paused.add(from);
  };

  const server = createServer((near) => {
    const far = connect(to.port(), to.host);
    let passed = 0;
    near.on('data', (bytes: Buffer) => pass(near, far, bytes));
    far.on('data', (bytes: Buffer) => {
      const left = limit - passed;
      passed += bytes.length;
      if (bytes.length <= left) return pass(far, near, bytes);
      met.cut += 1;
      if (left > 0) near.end(bytes.subarray(0, left));
      else near.resetAndDestroy();
      far.destroy();
    });
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.once('end', () => other.end());
      one.once('close', () => {
        other.destroy();
        sockets.delete(one);
        paused.delete(one);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    met,
    cutAfter(bytes) {
      limit = bytes;
    },
    stall() {
      stalls = true;
    },
    mend() {
      limit = Number.POSITIVE_INFINITY;
      stalls = false;
      for (const socket of paused) socket.resume();
      paused.clear();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
