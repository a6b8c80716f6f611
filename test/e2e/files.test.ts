// Files in and out of a network of three nodes with the embedded registry, whose four public keys are views that any
// program with SQLite reads, while the network runs.
import { after, before } from 'node:test';
import Database from 'better-sqlite3';
import { LocalNet } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';
import { testFiles } from './_core.ts';
import { testPublicKeys } from './_public-keys.ts';
import { testSecrecy } from './_secrecy.ts';

const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox);
});
after(() => sandbox.close());

const read = (sql: string, ...values: readonly string[]): Promise<string[]> => {
  const database = new Database(net.facts.registry, { readonly: true });
  try {
    return Promise.resolve(
      database
        .prepare<string[], string>(sql)
        .pluck()
        .all(...values),
    );
  } finally {
    database.close();
  }
};

testSecrecy(() => net);
testPublicKeys(() => net, {
  nodes: () => read('select node from network_nodes'),
  data: () => read('select name from network_data'),
  dataOfNode: (address) => read('select name from network_data_node where node = ?', address),
  nodesOfFile: (name) => read('select node from network_data_file where name = ?', name),
});
// More than fit one message only on long runs: test/client/put-many.test.ts puts two thousand.
testFiles(() => net, process.env.OPERA_TEST_LONG === '1' ? 1_200 : 100);
