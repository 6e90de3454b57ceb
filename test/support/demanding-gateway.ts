import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

/**
 * What large houses put before their GitLab: it speaks TLS, asks people to sign in to it (which a browser has done), and
 * lets programs through by a header or a client certificate alone. GitLab itself listens behind it, without TLS.
 */
export async function demandingGateway(demands: {
  readonly tls: { key: string; cert: string };
  readonly header?: readonly [name: string, value: string];
  /** PEM of the authority whose certificates let programs in; absent: it asks for none. */
  readonly clientCa?: string;
  /** Where GitLab listens; known only once it runs. */
  readonly behind: () => number;
}) {
  const passed: string[] = [];
  const refused: string[] = [];
  const [name, value] = demands.header ?? [];
  const { clientCa } = demands;
  const asks = clientCa ? { requestCert: true, rejectUnauthorized: false, ca: clientCa } : {};
  const server = createServer({ ...demands.tls, ...asks }, (incoming, response) => {
    const { url = '', method = 'GET', headers } = incoming;
    const isProgram =
      /\/(oauth\/(token|revoke)|api\/v4|info\/refs|git-(upload|receive)-pack|gitlab-lfs|info\/lfs)/.test(url);
    if (isProgram && clientCa && !(incoming.socket as TLSSocket).authorized) {
      refused.push(url);
      incoming.resume();
      // In nginx's words.
      const page = '<html><head><title>400 No required SSL certificate was sent</title></head></html>';
      return void response.writeHead(400, { 'content-type': 'text/html' }).end(page);
    }
    if (isProgram && name && headers[name.toLowerCase()] !== value) {
      refused.push(url);
      incoming.resume();
      const page = { 'content-type': 'text/html', 'www-authenticate': 'Basic realm="house gateway"' };
      return void response.writeHead(401, page).end('<html>Sign in to the house first</html>');
    }
    if (isProgram) passed.push(url);
    const to = { host: '127.0.0.1', port: demands.behind(), path: url, method, headers };
    const onward = request(to, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return {
    ...{ passed, refused },
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
