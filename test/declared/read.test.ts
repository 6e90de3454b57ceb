import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { readDeclaration } from '../../src/declared/read.ts';
import { declarationSchema } from '../../src/declared/shape.ts';
import { faultLine } from '../../src/declared/words.ts';
import { declaredSchemaPath } from '../support/declared-schema.ts';

/** What the text of a declaration alone tells: every fault at once, each at its place and with what would be right. */
const test = suite('reading a declaration');

const schema = JSON.parse(readFileSync(declaredSchemaPath, 'utf8')) as object;
// Formats are zod's own; what they check stands in patterns too.
const matchesSchema = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: true }).compile(schema);

const good = `version: 1
instance:
  url: https://gitlab.example.org/gitlab
  applicationId: "1f"
  secretFile: secret
connections:
  - { name: robot, tokenFile: token }
sites:
  - name: Museum
    folder: /var/www/museum
    source: { connection: robot, repository: web/museum, branch: main }
`;

/** What is changed in the good one; the places and words of the faults; whether an editor sees it too. */
const table: readonly {
  readonly what: string;
  readonly text: string;
  readonly faults: readonly (readonly [place: string, path: string, words: RegExp])[];
  readonly inEditor: boolean;
}[] = [
  { what: 'nothing in it', text: '', faults: [['1:1', '', /empty/]], inEditor: true },
  { what: 'a list', text: '- version: 1\n', faults: [['1:1', '', /must be a set of members/]], inEditor: true },
  {
    what: 'no version',
    text: good.replace('version: 1\n', ''),
    faults: [['1:1', 'version', /version is missing/]],
    inEditor: true,
  },
  {
    what: 'a later version',
    text: good.replace('version: 1', 'version: 2'),
    faults: [['1:1', 'version', /must be 1/]],
    inEditor: true,
  },
  {
    what: 'a member misspelt, which leaves another missing',
    text: good.replace('secretFile', 'secertFile'),
    faults: [
      ['2:1', 'instance.secretFile', /secretFile is missing/],
      ['5:3', 'instance.secertFile', /Did you mean secretFile\?/],
    ],
    inEditor: true,
  },
  {
    what: 'a member that nobody knows',
    text: good.replace('    folder:', '    colour: blue\n    folder:'),
    faults: [['10:5', 'sites[0].colour', /There are name, folder, labels, source, settings/]],
    inEditor: true,
  },
  {
    what: 'a secret in the file',
    text: good.replace('secretFile: secret', 'secretFile: secret\n  secret: abc'),
    faults: [['6:3', 'instance.secret', /no member secret/]],
    inEditor: true,
  },
  {
    what: 'a password in a URL',
    text: good.replace('https://gitlab', 'https://ana:pw@gitlab'),
    faults: [['3:3', 'instance.url', /without a user name/]],
    inEditor: true,
  },
  {
    what: 'numbers where names belong',
    text: good.replace('branch: main', 'branch: 1.0').replace('"1f"', '123456'),
    faults: [
      ['4:3', 'instance.applicationId', /Put it in quotes/],
      ['11:58', 'sites[0].source.branch', /Put it in quotes/],
    ],
    inEditor: true,
  },
  {
    what: 'a repository without its group, a relative folder, a setting of the wrong kind',
    text: good
      .replace('web/museum,', 'museum,')
      .replace('folder: /var', 'folder: var')
      .concat('    settings: { schedule: { poll: 5 }, files: { lfs: maybe } }\n'),
    faults: [
      ['10:5', 'sites[0].folder', /beginning with \//],
      ['11:34', 'sites[0].source.repository', /whole path/],
      ['12:29', 'sites[0].settings.schedule.poll', /must be text/],
      ['12:49', 'sites[0].settings.files.lfs', /true or false/],
    ],
    inEditor: true,
  },
  {
    what: 'a consent that is none',
    text: good.replace('branch: main', 'branch: main, consent: always'),
    faults: [['11:72', 'sites[0].source.consent', /mooring apply --dry-run/]],
    inEditor: true,
  },
  {
    what: 'two of the same',
    text: good.concat('  - name: Museum\n    folder: /var/www/museum/\n'),
    faults: [
      ['12:5', 'sites[1].name', /sites\[0\] has this name/],
      ['13:5', 'sites[1].folder', /sites\[0\] has this folder/],
    ],
    inEditor: false,
  },
  {
    what: 'a connection that is not there, and one that is nothing',
    text: good.replace('connection: robot', 'connection: robto').replace(', tokenFile: token', ''),
    faults: [
      ['7:5', 'connections[0].tokenFile', /tokenFile, or user/],
      ['11:15', 'sites[0].source.connection', /No connection in this file is called robto/],
    ],
    inEditor: false,
  },
  {
    what: 'an owner without sites, an admin with some',
    text: good.concat(
      'accounts:\n  - { name: A, role: owner, passwordFile: p }\n  - { name: B, role: admin, sites: [Museum], passwordFile: p }\n',
    ),
    faults: [
      ['13:5', 'accounts[0].sites', /needs the names of sites/],
      ['14:29', 'accounts[1].sites', /sees all sites/],
    ],
    inEditor: false,
  },
  {
    what: 'the same key twice',
    text: good.replace('    folder:', '    name: Other\n    folder:'),
    faults: [['10:5', '', /not YAML: Map keys must be unique/]],
    inEditor: false,
  },
  {
    what: 'no YAML',
    text: good.replace('    folder:', '   folder:'),
    faults: [['10:1', '', /not YAML/]],
    inEditor: false,
  },
  { what: 'two documents', text: `${good}---\nversion: 1\n`, faults: [['12:1', '', /one document/]], inEditor: false },
];

const told = (text: string): { place: string; path: string; text: string; example: string | undefined }[] => {
  const read = readDeclaration(text);
  if (read.kind === 'good') return [];
  return read.faults.map(({ line, column, path, text: words, example }) => ({
    ...{ place: `${line}:${column}`, path, text: words, example },
  }));
};

for (const { what, text, faults, inEditor } of table) {
  test(`faults: ${what}`, () => {
    const found = told(text);
    assert.equal(
      found.map(({ place, path }) => [place, path]),
      faults.map(([place, path]) => [place, path]),
    );
    for (const [at, [, path, words]] of faults.entries()) {
      assert.match(found[at]?.text ?? '', words);
      // Of a member that does not exist there is nothing right to show.
      if (path !== '' && !/There are /.test(found[at]?.text ?? '') && !path.endsWith('.secret'))
        assert.ok(found[at]?.example, `${path} has no example`);
    }
    if (inEditor) assert.not(matchesSchema(parse(text)), 'the schema takes it');
  });
}

test('every example that a fault shows is right itself', () => {
  const shown = table
    .flatMap(({ text }) => told(text).map(({ example }) => example))
    .filter((one) => one !== undefined);
  assert.ok(shown.length > 15);
  for (const example of shown) assert.type(parse(example), 'object', example);
});

test('the good one is good, as YAML, as JSON, and with anchors', () => {
  assert.equal(told(good), []);
  assert.equal(told(JSON.stringify(parse(good), null, 2)), []);
  const shared = good
    .replace('sites:\n', 'sites:\n')
    .concat('    settings: &usual\n      schedule: { poll: "0 * * * *" }\n')
    .concat('  - { name: Other, folder: /var/www/other, settings: *usual }\n')
    .concat('  - { name: Third, folder: /var/www/third, settings: { <<: *usual, safety: { keepDays: 5 } } }\n');
  const read = readDeclaration(shared);
  assert.is(read.kind, 'good', JSON.stringify(told(shared)));
  const third = read.kind === 'good' ? read.read.declaration.sites[2]?.settings : undefined;
  assert.equal(third, { schedule: { poll: '0 * * * *' }, safety: { keepDays: 5 } });
  assert.ok(matchesSchema(parse(shared, { merge: true })), JSON.stringify(matchesSchema.errors));
});

test('a few lines do not become gigabytes, and a large file is not read', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...['b', 'c', 'd', 'e', 'f', 'g'].map((name, at) => {
      const inner = 'abcdef'[at];
      return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${inner}`).join()}]`;
    }),
  ].join('\n');
  assert.match(told(bomb)[0]?.text ?? '', /cannot be read/);
  assert.match(told(`version: 1 # ${'x'.repeat(4 * 1024 * 1024)}`)[0]?.text ?? '', /larger than 4 MiB/);
});

test('one fault in one line, as editors and terminals know it', () => {
  const read = readDeclaration(good.replace('branch: main', 'branch: 1'));
  const [fault] = read.kind === 'bad' ? read.faults : [];
  assert.is(
    fault && faultLine('/etc/m.yaml', fault),
    '/etc/m.yaml:11:58: sites[0].source.branch: It must be text. Put it in quotes. Example: branch: main',
  );
});

test('config/declared.schema.json is made from the shape that files are checked with, and describes each member', () => {
  // To write it anew: node test/support/declared-schema.ts
  assert.equal(schema, JSON.parse(JSON.stringify(declarationSchema())));
  assert.ok(matchesSchema(parse(good)), JSON.stringify(matchesSchema.errors));
  const undescribed: string[] = [];
  const look = (
    node: { properties?: Record<string, object>; items?: object; description?: string },
    at: string,
  ): void => {
    for (const [name, inner] of Object.entries(node.properties ?? {})) {
      // The settings are described where the HTTP API is.
      if (at.endsWith('.settings')) continue;
      if (!('description' in inner) && !('items' in inner) && name !== 'webhook') undescribed.push(`${at}.${name}`);
      look(inner, `${at}.${name}`);
    }
    if (node.items) look(node.items, at);
  };
  look(schema, '');
  assert.equal(undescribed, []);
});

test('the examples of docs/configuration-as-code.md are good, for Mooring and for an editor', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/configuration-as-code.md'), 'utf8');
  const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  assert.is(examples.length, 2);
  for (const example of examples) {
    assert.equal(told(example), []);
    assert.ok(matchesSchema(parse(example)), JSON.stringify(matchesSchema.errors));
  }
});

test.run();
