// What a route is: who serves it, who may call it, what it carries; with the sets of roles and bounds that the tables
// of routes (routes.ts, star-routes.ts) share.
import type * as v from 'valibot';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';

export type ListenerKind = 'join' | 'mesh';

export interface RouteShape {
  readonly on: Role | 'every-role';
  readonly listener: ListenerKind;
  /** Roles whose certificate opens the route; `anyone` only on the join listener. */
  readonly allow: readonly Role[] | 'anyone';
  readonly request: v.GenericSchema;
  readonly answer: v.GenericSchema;
  /** Longest JSON part of the request. */
  readonly messageBytesMax: number;
  /** Longest binary part of the request. */
  readonly binaryBytesMax: number;
  /** Default deadline of a call. */
  readonly timeoutMs: number;
}

type RouteOptions<Q extends v.GenericSchema, A extends v.GenericSchema> = Pick<RouteShape, 'on' | 'allow'> &
  Partial<RouteShape> & { readonly request: Q; readonly answer: A };

export const route = <const Q extends v.GenericSchema, const A extends v.GenericSchema>(
  options: RouteOptions<Q, A>,
) => ({
  listener: 'mesh' as ListenerKind,
  messageBytesMax: limits.messageBytesMax as number,
  binaryBytesMax: 0,
  timeoutMs: limits.callTimeoutMs as number,
  ...options,
});

export const users: readonly Role[] = ['client', 'operator'];
/** Members that may act as clients: they hold network keys. */
export const readers: readonly Role[] = ['client', 'operator', 'gateway', 'node'];
export const everyone: readonly Role[] = ['gateway', 'master', 'sentinel', 'node', 'client', 'operator'];
export const small = { messageBytesMax: limits.messageBytesSmall };
export const joining = { on: 'gateway', listener: 'join', allow: 'anyone', ...small } as const;
/** Small requests of operators to gateways. */
export const operating = { on: 'gateway', allow: ['operator'], ...small } as const;
/** Small questions of one node to another. */
export const between = { on: 'node', allow: ['node'], ...small } as const;
export const chunkBody = { binaryBytesMax: limits.binaryBytesMax, timeoutMs: limits.chunkTimeoutMs };
/** What a gateway passes on to a master: as large as what it takes, with its word on whose it is. */
export const byGateway = {
  on: 'master',
  allow: ['gateway'],
  messageBytesMax: limits.messageBytesMax + limits.relayEnvelopeBytes,
} as const;
