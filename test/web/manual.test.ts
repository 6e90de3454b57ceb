import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { remedies } from '../../src/model/remedy.ts';
import { createAddress } from '../../src/web/address.ts';
import { type Manual, readManual } from '../../src/web/manual.ts';

const test = suite('documentation');

const address = createAddress('https://gitlab.example.org/mooring');
const real = readManual(address);

function ofPages(pages: Readonly<Record<string, string>>): Manual {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-manual-'));
  try {
    for (const [name, text] of Object.entries(pages)) writeFileSync(join(folder, `${name}.md`), text);
    return readManual(address, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('every problem has its anchor on the page about problems', () => {
  const anchors = new Set(real.page('troubleshoot')?.sections.map(({ anchor }) => anchor));
  assert.equal(
    Object.keys(remedies).filter((code) => !anchors.has(code)),
    [],
  );
});

test('links between pages lead to where they are served, below a path too; none leads to what is not served', () => {
  const hrefs = real.groups.flatMap(({ pages }) =>
    pages.flatMap(({ html }) => [...html.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href)),
  );
  assert.ok(hrefs.length > 30);
  const ours = hrefs.filter((href) => !/^https:|^#/.test(href));
  for (const href of ours) {
    const [, name = '', anchor] = /^\/mooring\/docs\/([\w-]+)(?:#(.+))?$/.exec(href) ?? [];
    const page = real.page(name);
    assert.ok(page, href);
    assert.ok(anchor === undefined || page.sections.some((section) => section.anchor === anchor), href);
  }
});

test('no style, no script and no markup of its own stands in a page', () => {
  const { page } = ofPages({
    bad: [
      '# Bad',
      '<script>alert(1)</script>',
      '[a](javascript:alert(1)) [b](data:text/html,x) [c](//evil.example) [d](../../etc/passwd) [e](https://a.example "x")',
      '![p](https://evil.example/p.png)',
      '| a |\n| :-: |\n| <img src=x onerror=alert(1)> |',
      '## Same\n\n## Same',
      '<!-- a comment -->',
    ].join('\n\n'),
  });
  const { html = '', sections = [] } = page('bad') ?? {};
  assert.not.match(html, /<script|<img|href="(?!https:\/\/a\.example")|style=|comment/);
  assert.match(html, '<a href="https://a.example" title="x" rel="noreferrer">e</a>');
  assert.equal(
    sections.map(({ anchor }) => anchor),
    ['bad', 'same', 'same-1'],
  );
  for (const { html: each } of real.groups.flatMap(({ pages }) => pages))
    assert.not.match(each, /<(?:script|img|style|iframe)|\sstyle=|\son\w+=/);
});

test('a search finds sections with all words, those in headings first, and marks them', () => {
  const manual = ofPages({
    one: '# One\n\nAbout boats.\n\n## Ropes\n\nA rope & a *Knot*.',
    two: '# Two\n\n## Nothing\n\nRopes and boats, tied with a knot.\n\n## Code\n\n```sh\nknot --tie\n```\n',
  });
  const hrefs = (words: string): string[] => manual.search(words).map(({ href }) => href);
  assert.equal(hrefs('ropes'), ['/mooring/docs/one#ropes', '/mooring/docs/two#nothing']);
  assert.equal(hrefs('ROPES   knot'), ['/mooring/docs/one#ropes', '/mooring/docs/two#nothing']);
  assert.equal(hrefs('boats'), ['/mooring/docs/one', '/mooring/docs/two#nothing']);
  assert.equal(hrefs('--tie'), ['/mooring/docs/two#code']);
  assert.equal([hrefs(''), hrefs('  '), hrefs('ropes absent')], [[], [], []]);
  assert.equal(manual.search('knot')[0]?.excerpt, [
    { text: 'A rope & a ', hit: false },
    { text: 'Knot', hit: true },
    { text: '.', hit: false },
  ]);
  assert.is(real.search('mooring').length, 30);
  assert.ok(real.search('store-newer').length > 0);
});

test('every page has a title, and a page nobody has sorted is shown too', () => {
  const manual = ofPages({ install: '# Install', fresh: '# Fresh' });
  assert.equal(
    manual.groups.flatMap(({ pages }) => pages.map(({ title }) => title)),
    ['Install', 'Fresh'],
  );
  assert.is(manual.page('../package'), undefined);
});

test.run();
