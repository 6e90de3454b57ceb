import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { signInBefore } from '../../src/net/gateway.ts';
import { httpFor, listen, problemOf, settingsFor } from './support.ts';

const gateway = suite('net/gateway');

const html = '<html>Sign in to the network first</html>';
const json = '{"message":"401 Unauthorized"}';
const git = 'HTTP Basic: Access denied. The provided password or token is incorrect';

for (const [name, realm, body, whose] of [
  ['the API', undefined, json, 'GitLab'],
  ['the API’s guard of tokens', 'Bearer realm="Protected by OAuth 2.0", error="invalid_token"', json, 'GitLab'],
  ['the token endpoint', 'Bearer realm="Doorkeeper", error="invalid_client"', '{"error":"invalid_client"}', 'GitLab'],
  ['git’s door', 'Basic realm="GitLab"', git, 'GitLab'],
  ['git’s door, its realm taken out on the way', undefined, git, 'GitLab'],
  ['GitLab’s realm over a page', 'Basic realm="GitLab"', html, 'GitLab'],
  ['a gateway with a realm and a page', 'Basic realm="corporate gateway"', html, 'foreign'],
  ['a gateway with a page alone', undefined, html, 'foreign'],
  ['a gateway that speaks JSON in its own realm', 'Key realm="kong"', '{"message":"Unauthorized"}', 'foreign'],
  ['a gateway that says nothing', undefined, '', 'foreign'],
] as const) {
  gateway(`a 401 of ${name} is ${whose === 'GitLab' ? 'GitLab’s word on the token' : 'not GitLab’s'}`, async () => {
    const server = await listen((_request, response) => {
      response.writeHead(401, realm === undefined ? {} : { 'www-authenticate': realm }).end(body);
    });
    const http = httpFor(settingsFor(server.url));
    try {
      const asked = http.request({ method: 'GET', url: `${server.url}/api/v4/user` });
      if (whose === 'GitLab') return assert.is((await asked).status, 401);
      const problem = await problemOf(asked);
      const expected = signInBefore(new URL(server.url));
      assert.equal([problem.code, problem.facts], [expected.code, expected.facts]);
    } finally {
      http.close();
      await server.close();
    }
  });
}

gateway.run();
