import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { proxyFor, readNoProxy } from '../../src/net/proxy.ts';

const proxies = suite('net/proxy');
const proxy = 'http://proxy.example:3128';

const goesStraight = (url: string, noProxy: string): boolean =>
  proxyFor(new URL(url), { proxy, noProxy: readNoProxy(noProxy) }) === '';

proxies('a name stands for itself and all below it, an address for itself, a network for all in it', () => {
  const cases: readonly [rules: string, straight: readonly string[], proxied: readonly string[]][] = [
    ['', [], ['https://gitlab.example']],
    [
      'storage.example',
      ['https://storage.example/x', 'http://a.storage.example:9000', 'https://STORAGE.example'],
      ['https://notstorage.example', 'https://example'],
    ],
    ['.storage.example', ['https://a.storage.example', 'https://storage.example'], ['https://gitlab.example']],
    ['*.storage.example', ['https://a.b.storage.example'], ['https://storage.example.org']],
    ['localhost', ['http://localhost:8080'], ['http://localhost.example']],
    ['10.1.2.3', ['http://10.1.2.3/'], ['http://10.1.2.30/', 'http://10.1.2.3.example/']],
    ['10.0.0.0/8', ['https://10.255.0.1'], ['https://11.0.0.1', 'https://[fd00::1]']],
    ['fd00::/8', ['https://[fd12::1]:8443'], ['https://[fe00::1]', 'https://10.0.0.1']],
    ['::1', ['http://[::1]:3000'], ['http://[::2]']],
    ['gitlab.example:8443', ['https://gitlab.example:8443'], ['https://gitlab.example', 'http://gitlab.example']],
    ['gitlab.example:443', ['https://gitlab.example'], ['http://gitlab.example']],
    ['[::1]:80', ['http://[::1]'], ['http://[::1]:81']],
    ['a.example, b.example;c.example\nd.example', ['https://b.example', 'https://d.example'], ['https://e.example']],
  ];
  for (const [rules, straight, proxied] of cases) {
    for (const url of straight) assert.ok(goesStraight(url, rules), `${url} by «${rules}»`);
    for (const url of proxied) assert.not.ok(goesStraight(url, rules), `${url} by «${rules}»`);
  }
});

proxies('what is none of these is refused by name', () => {
  for (const wrong of ['http://a.example', 'a b/8', '10.0.0.0/33', 'fd00::/129', 'name/8', 'a..b', '*', 'xxx!']) {
    let problem: unknown;
    try {
      readNoProxy(wrong);
    } catch (error) {
      problem = error;
    }
    assert.instance(problem, Problem, wrong);
    assert.match((problem as Problem).facts['noProxy'] ?? '', 'is no name, address or network');
  }
  assert.equal(readNoProxy(' , ;\n'), []);
});

proxies.run();
