// What roles tell Prometheus, read as strictly as promtool does: each family once, with help and a type that fits its
// name, values that are numbers, and labels from closed sets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTable } from '../../src/errors/errors.ts';
import { RoleMetrics } from '../../src/roles/metrics.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { routeNames } from '../../src/wire/routes.ts';
import { put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';

interface Family {
  readonly type: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

const labelsOf = (text: string): Record<string, string> => {
  const pairs = [...text.matchAll(/([a-z_]+)="([^"\\\n]*)",?/g)];
  assert.equal(pairs.map(([whole]) => whole).join(''), text, `labels: ${text}`);
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value]));
};

/** The families of an exposition (text format 0.0.4); fails on what promtool would refuse or complain of. */
const parseExposition = (text: string): ReadonlyMap<string, Family> => {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const families = new Map<string, Family>();
  let current = '';
  let helped = '';
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, what, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (what === 'HELP') helped = name;
    else if (what === 'TYPE') {
      assert.equal(helped, name, `${name} has a help`);
      assert.ok(!families.has(name), `${name} stands once`);
      assert.match(name, /^opera_[a-z_]+$/);
      assert.equal(rest === 'counter', name.endsWith('_total'), `${name} is a ${rest}`);
      families.set(name, { type: rest, samples: [] });
      current = name;
    } else {
      const [, sample = '', , labels = '', value = ''] = /^([a-z_]+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const family = families.get(current);
      const own = family?.type === 'histogram' ? /^(_bucket|_sum|_count)$/ : /^$/;
      assert.ok(sample.startsWith(current) && own.test(sample.slice(current.length)), `${line} is of ${current}`);
      assert.ok(Number.isFinite(Number(value)), line);
      family?.samples.push({ name: sample, labels: labelsOf(labels), value: Number(value) });
    }
  }
  return families;
};

const valueOf = (families: ReadonlyMap<string, Family>, name: string, label: readonly string[] = []): number => {
  const found = families
    .get(name)
    ?.samples.find(({ labels }) => label.every((word) => Object.values(labels).includes(word)));
  assert.ok(found, `${name} ${label.join()}`);
  return found.value;
};

test('roles tell counters and gauges as Prometheus takes them, with labels from closed sets', async () => {
  const cluster = await MemoryCluster.start({ nodes: 3 });
  try {
    await cluster.during(put(await cluster.session(), 'a', new Uint8Array(100)));
    await cluster.quiet(3);
    const master = parseExposition((await cluster.masters[0]?.metrics?.text()) ?? '');
    const node = parseExposition((await cluster.node(0).metrics?.text()) ?? '');
    assert.equal(valueOf(master, 'opera_nodes', ['up']), 3);
    assert.equal(valueOf(master, 'opera_leads'), 1);
    assert.equal(valueOf(master, 'opera_alarms'), 0);
    assert.equal(valueOf(node, 'opera_store_chunks'), 1);
    assert.ok(valueOf(node, 'opera_store_bytes') > 100);
    assert.equal(valueOf(node, 'opera_store_read_only'), 0);
    assert.equal(node.get('opera_store_free_bytes')?.samples.length, 0, 'memory has no disk');
    const words = new Set<string>([...routeNames, ...Object.keys(errorTable), 'ok', 'up', 'master', 'node']);
    for (const [name, { samples }] of [...master, ...node]) {
      for (const { le: _bound, ...labels } of samples.map((sample) => sample.labels)) {
        for (const word of Object.values(labels)) assert.ok(words.has(word), `${name}: ${word}`);
      }
    }
  } finally {
    cluster.stopAll();
  }
});

test('a number that only rises is a counter by name and type, and others are not', async () => {
  const metrics = new RoleMetrics('node', new SystemClock());
  assert.throws(() => metrics.gauge('opera_things_total', 'Things.', () => 1));
  assert.throws(() => metrics.counter('opera_things', 'Things.', () => 1));
  let things = 3;
  metrics.counter('opera_things_total', 'Things.', () => things);
  assert.equal(valueOf(parseExposition(await metrics.text()), 'opera_things_total'), 3);
  things = 5;
  assert.equal(valueOf(parseExposition(await metrics.text()), 'opera_things_total'), 5);
});

test('what cannot be read is left out, and the rest is told', async () => {
  const metrics = new RoleMetrics('node', new SystemClock());
  let broken = false;
  const read = async (): Promise<number> => {
    if (broken) throw new Error('the store was closed');
    return 7;
  };
  metrics.gauge('opera_things', 'Things.', read);
  metrics.gaugeBy('opera_kinds', 'Kinds.', 'kind', async () => new Map([['a', await read()]]));
  assert.equal(valueOf(parseExposition(await metrics.text()), 'opera_kinds', ['a']), 7);
  broken = true;
  const families = parseExposition(await metrics.text());
  assert.deepEqual([families.get('opera_things')?.samples, families.get('opera_kinds')?.samples], [[], []]);
  assert.equal(families.get('opera_uptime_seconds')?.samples.length, 1);
});
