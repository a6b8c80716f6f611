// The table of routes in docs/protocol.md says what src/wire/routes.ts says, row by row and in the same order.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { roles } from '../../src/model/roles.ts';
import { type RouteName, routeFacts, routeNames } from '../../src/wire/routes.ts';

const mebibyte = 1024 * 1024;
const sizeOf = (bytes: number): string => {
  if (bytes === 0) return '–';
  return bytes % mebibyte === 0 ? `${bytes / mebibyte} MiB` : `${bytes / 1024} KiB`;
};

const rowOf = (name: RouteName): readonly string[] => {
  const { on, listener, allow, messageBytesMax, binaryBytesMax, timeoutMs } = routeFacts(name);
  const everyone = allow !== 'anyone' && roles.every((role) => allow.includes(role));
  return [
    `\`${name}\``,
    on === 'every-role' ? 'every role' : on,
    listener,
    allow === 'anyone' ? 'anyone' : everyone ? 'every role' : allow.join(', '),
    sizeOf(messageBytesMax),
    sizeOf(binaryBytesMax),
    `${timeoutMs / 1000} s`,
  ];
};

test('the page of the protocol lists every route as the table has it, and says what it is for', () => {
  const rows = readFileSync('docs/protocol.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  assert.deepEqual(
    rows.map((cells) => cells.slice(1, 8)),
    routeNames.map(rowOf),
  );
  for (const [, name = '', , , , , , , what = ''] of rows) assert.ok(what.length > 5, `${name} has no description`);
});
