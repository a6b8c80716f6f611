// Every case of files in and out, with the registry in a real Redis.
import { after, before, test } from 'node:test';
import { LocalNet } from '../support/local-net.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { Sandbox } from '../support/sandbox.ts';
import { testFiles } from './_core.ts';

const sandbox = new Sandbox();
const redis = await startRedisServer();
let net: LocalNet;

before(async () => {
  if (redis) net = await LocalNet.up(sandbox, ['--redis', redis.url]);
});
after(async () => {
  await sandbox.close();
  await redis?.stop();
});

if (redis) testFiles(() => net, 200);
else test('files with a registry in Redis', { skip: 'redis-server is not installed' }, () => undefined);
