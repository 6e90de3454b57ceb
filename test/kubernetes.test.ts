import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Deployment, StatefulSet } from 'kubernetes-models/apps/v1';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1';
import { ConfigMap, Namespace, Service } from 'kubernetes-models/v1';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { readDeclaration } from '../src/declared/read.ts';
import { readEnvironment, variables } from '../src/settings.ts';

/** The manifests, checked with the schemas that Kubernetes publishes; there is no cluster here to apply them to. */
const test = suite('config/kubernetes');

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly serviceName?: string;
    readonly template?: { readonly spec: { readonly containers: readonly Container[] } };
  };
}
interface Container {
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

const kinds = { Namespace, ConfigMap, Service, StatefulSet, Deployment, Ingress } as const;
const text = readFileSync(new URL('../config/kubernetes/mooring.yaml', import.meta.url), 'utf8');
const documents = parseAllDocuments(text, { version: '1.2' });
const manifests = documents.map((document) => document.toJS() as Manifest);
const named = (kind: string, name: string): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
};

test('every manifest is valid', () => {
  assert.equal(
    documents.flatMap(({ errors }) => errors),
    [],
  );
  for (const manifest of manifests) {
    const Model = kinds[manifest.kind as keyof typeof kinds] as new (data: object) => { validate(): void };
    assert.ok(Model, `a kind that is not checked: ${manifest.kind}`);
    new Model(manifest).validate();
  }
  const wrong = structuredClone(named('StatefulSet', 'mooring')) as unknown as { spec: { replicas: unknown } };
  wrong.spec.replicas = 'two';
  assert.throws(() => new StatefulSet(wrong as never).validate(), 'the check cannot fail');
});

test('names that refer to each other are there', () => {
  assert.ok(named('Service', named('StatefulSet', 'mooring').spec?.serviceName ?? ''));
  for (const [, kind, name] of [
    ...text.matchAll(/(configMap): \{ name: (\S+) \}/g),
    ...text.matchAll(/(service):\n\s+name: (\S+)/g),
  ])
    assert.ok(named(kind === 'configMap' ? 'ConfigMap' : 'Service', name ?? ''));
});

test('the settings exist and are valid, and the declaration is', () => {
  const env = named('StatefulSet', 'mooring').spec?.template?.spec.containers[0]?.env ?? [];
  const known = new Set(variables().map(({ name }) => name));
  const given = env.filter(({ name, value }) => name.startsWith('MOORING_') && value !== undefined);
  for (const { name } of given) assert.ok(known.has(name), name);
  const values = given
    .filter(({ name }) => !name.endsWith('_FILE'))
    .map(({ name, value = '' }) => [name, value.replaceAll('$(SHARD)', '1')] as const);
  const read = readEnvironment({ PATH: '/usr/bin:/bin', ...Object.fromEntries(values) });
  assert.equal('faults' in read ? read.faults : [], []);
  const found = readDeclaration(named('ConfigMap', 'declaration').data?.['mooring.yaml'] ?? '');
  assert.is(found.kind, 'good', JSON.stringify(found));
});

test('nginx takes the router’s configuration', async () => {
  if (spawnSync('nginx', ['-v']).error) return console.log('not run here: there is no nginx');
  const dir = await mkdtemp(join(tmpdir(), 'mooring-router-'));
  try {
    const config = named('ConfigMap', 'router').data?.['nginx.conf'] ?? '';
    // A name server that can be resolved here; everything else is as it is.
    writeFileSync(join(dir, 'nginx.conf'), config.replace(/kube-dns\S+/, '127.0.0.1'));
    const { status, stderr } = spawnSync('nginx', ['-t', '-c', join(dir, 'nginx.conf')], { encoding: 'utf8' });
    assert.is(status, 0, stderr);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
