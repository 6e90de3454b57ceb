import { createServer, request } from 'node:http';
import { type AddressInfo, type Socket, connect } from 'node:net';
import { once } from 'node:events';

/**
 * A forward proxy as large houses have them: it passes only what carries its password and, where it can see the request
 * (plain http), the header the house demands. TLS it tunnels by CONNECT.
 */
export async function demandingProxy(demands: { user: string; password: string; header?: [string, string] }) {
  const passed: string[] = [];
  const refused: string[] = [];
  const sockets = new Set<Socket>();
  const expected = `Basic ${Buffer.from(`${demands.user}:${demands.password}`).toString('base64')}`;
  const server = createServer((incoming, response) => {
    const url = incoming.url ?? '';
    const [name = '', value] = demands.header ?? [];
    const welcome = name === '' || incoming.headers[name.toLowerCase()] === value;
    if (incoming.headers['proxy-authorization'] !== expected || !welcome) {
      refused.push(url);
      incoming.resume();
      return void response.writeHead(407, { 'proxy-authenticate': 'Basic realm="house"' }).end();
    }
    passed.push(url);
    const { 'proxy-authorization': _, 'proxy-connection': __, ...headers } = incoming.headers;
    const onward = request(url, { method: incoming.method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  server.on('connect', (incoming, socket, head) => {
    if (incoming.headers['proxy-authorization'] !== expected) {
      refused.push(`CONNECT ${incoming.url}`);
      return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
    }
    passed.push(`CONNECT ${incoming.url}`);
    const [host = '', port = ''] = (incoming.url ?? '').split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    for (const [one, other] of [[onward, socket] as const, [socket, onward] as const]) {
      one.on('error', () => other.destroy());
      one.once('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...{ passed, refused },
    url: `http://${demands.user}:${demands.password}@127.0.0.1:${port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
