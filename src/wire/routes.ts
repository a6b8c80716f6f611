// The one table of routes, for servers and clients alike: who serves it, who may call it, what it carries.
// Default deny: a role that is not in `allow` gets 403, a path that is not here 404. Every route is
// POST /v1/<name with slashes>; names and queries travel in bodies, so URLs and access logs say nothing.
import type * as v from 'valibot';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';
import {
  between,
  byGateway,
  chunkBody,
  everyone,
  joining,
  type ListenerKind,
  operating,
  readers,
  route,
  type RouteShape,
  small,
  users,
} from './_route.ts';
import * as hygiene from './messages-hygiene.ts';
import * as evidence from './messages-evidence.ts';
import * as keys from './messages-keys.ts';
import * as members from './messages-members.ts';
import * as names from './messages-names.ts';
import * as repair from './messages-repair.ts';
import * as watch from './messages-watch.ts';
import { starRoutes } from './star-routes.ts';

export type { ListenerKind } from './_route.ts';

const nodeOrder = { ...small, request: watch.nodeOrder, answer: watch.nodeOrderAnswer };
const nodeOrderFor = { ...nodeOrder, request: names.onBehalf(watch.nodeOrder) };

export const routes = {
  // ---- gateway, join listener
  'join.bundle': route({ ...joining, request: members.nothing, answer: members.bundleAnswer }),
  'join.nonce': route({ ...joining, request: members.nothing, answer: members.nonceAnswer }),
  'join.join': route({ ...joining, request: members.joinRequest, answer: members.admission }),
  'join.renew': route({ ...joining, request: members.renewRequest, answer: members.admission }),

  // ---- every role
  ping: route({
    on: 'every-role',
    allow: everyone,
    ...small,
    timeoutMs: limits.probeTimeoutMs,
    request: members.nothing,
    answer: members.pingAnswer,
  }),
  'roster.put': route({
    on: 'every-role',
    allow: ['gateway'],
    timeoutMs: limits.probeTimeoutMs,
    request: members.rosters,
    answer: members.rosterAcknowledgement,
  }),
  'roster.since': route({
    on: 'every-role',
    allow: everyone,
    ...small,
    request: members.rosterSinceRequest,
    answer: members.rosterAnswer,
  }),

  // ---- gateway
  'member.announce': route({
    on: 'gateway',
    allow: everyone,
    ...small,
    request: members.announceRequest,
    answer: members.announceAnswer,
  }),
  'member.list': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: members.nothing,
    answer: members.membersAnswer,
  }),
  'member.revoke': route({ ...operating, request: members.revokeRequest, answer: members.revokeAnswer }),
  'token.create': route({ ...operating, request: members.tokenCreateRequest, answer: members.tokenCreateAnswer }),
  'token.list': route({ ...operating, request: members.nothing, answer: members.tokenListAnswer }),
  'token.remove': route({ ...operating, request: members.tokenRemoveRequest, answer: members.removedAnswer }),
  'recovery.add': route({ ...operating, request: members.recoveryAddRequest, answer: members.recoveryAddAnswer }),
  'keys.rotate': route({
    on: 'gateway',
    allow: ['operator'],
    ...small,
    timeoutMs: limits.rotateTimeoutMs,
    request: keys.keysRotateRequest,
    answer: keys.keysRotateAnswer,
  }),
  'keys.list': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: members.nothing,
    answer: keys.keysListAnswer,
  }),
  'event.list': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: members.eventsRequest,
    answer: members.eventsAnswer,
  }),
  'upload.open': route({ on: 'gateway', allow: readers, request: names.openRequest, answer: names.openAnswer }),
  'ticket.renew': route({
    on: 'gateway',
    allow: readers,
    request: names.ticketRenewRequest,
    answer: names.ticketRenewAnswer,
  }),
  'upload.held': route({
    on: 'gateway',
    allow: readers,
    request: names.uploadHeldRequest,
    answer: names.uploadHeldAnswer,
  }),
  'name.commit': route({ on: 'gateway', allow: readers, request: names.commitRequest, answer: names.commitAnswer }),
  'name.get': route({ on: 'gateway', allow: readers, request: names.namesGetRequest, answer: names.namesGetAnswer }),
  'name.list': route({ on: 'gateway', allow: readers, request: names.namesListRequest, answer: names.namesListAnswer }),
  'name.where': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: names.whereRequest,
    answer: names.whereAnswer,
  }),
  'network.status': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: members.nothing,
    answer: members.statusAnswer,
  }),
  'node.drain': route({ on: 'gateway', allow: ['operator'], ...nodeOrder }),
  'node.resume': route({ on: 'gateway', allow: ['operator'], ...nodeOrder }),
  'node.remove': route({ on: 'gateway', allow: ['operator'], ...nodeOrder }),
  'registry.rebuild': route({
    on: 'gateway',
    allow: ['operator'],
    ...small,
    request: evidence.rebuildRequest,
    answer: evidence.rebuildAnswer,
  }),
  'node.check': route({ ...operating, request: hygiene.checkRequest, answer: hygiene.checksAnswer }),

  // ---- master
  'master.upload.open': route({ ...byGateway, request: names.onBehalf(names.openRequest), answer: names.openAnswer }),
  'master.ticket.renew': route({
    ...byGateway,
    request: names.onBehalf(names.ticketRenewRequest),
    answer: names.ticketRenewAnswer,
  }),
  'master.upload.held': route({
    ...byGateway,
    request: names.onBehalf(names.uploadHeldRequest),
    answer: names.uploadHeldAnswer,
  }),
  'master.name.commit': route({
    ...byGateway,
    allow: ['gateway', 'node'],
    request: names.onBehalf(names.commitRequest),
    answer: names.commitAnswer,
  }),
  'master.name.get': route({
    ...byGateway,
    request: names.onBehalf(names.namesGetRequest),
    answer: names.namesGetAnswer,
  }),
  'master.name.list': route({
    ...byGateway,
    request: names.onBehalf(names.namesListRequest),
    answer: names.namesListAnswer,
  }),
  'master.name.where': route({ ...byGateway, request: names.onBehalf(names.whereRequest), answer: names.whereAnswer }),
  'master.network.status': route({
    ...byGateway,
    ...small,
    request: names.onBehalf(members.nothing),
    answer: members.statusAnswer,
  }),
  'master.node.drain': route({ ...byGateway, ...nodeOrderFor }),
  'master.node.resume': route({ ...byGateway, ...nodeOrderFor }),
  'master.node.remove': route({ ...byGateway, ...nodeOrderFor }),
  'master.registry.rebuild': route({
    ...byGateway,
    ...small,
    request: names.onBehalf(evidence.rebuildRequest),
    answer: evidence.rebuildAnswer,
  }),
  'node.heartbeat': route({
    on: 'master',
    allow: ['node'],
    ...small,
    request: members.heartbeatRequest,
    answer: members.heartbeatAnswer,
  }),
  'member.changed': route({
    on: 'master',
    allow: ['gateway', 'sentinel'],
    ...small,
    request: members.memberChangedRequest,
    answer: members.accepted,
  }),

  // ---- sentinel
  'sentinel.opinion': route({
    on: 'sentinel',
    allow: ['sentinel', 'master'],
    ...small,
    timeoutMs: limits.opinionTimeoutMs,
    request: watch.opinionRequest,
    answer: watch.opinionAnswer,
  }),

  // ---- node
  'chunk.store': route({
    on: 'node',
    allow: readers,
    ...chunkBody,
    request: names.storeRequest,
    answer: names.storeAnswer,
  }),
  'chunk.copy': route({
    on: 'node',
    allow: ['node'],
    ...chunkBody,
    request: names.copyRequest,
    answer: names.copyAnswer,
  }),
  'chunk.read': route({
    on: 'node',
    allow: readers,
    timeoutMs: limits.chunkTimeoutMs,
    request: names.readRequest,
    answer: names.readAnswer,
  }),
  'chunk.hold': route({ on: 'node', allow: ['master'], request: names.holdRequest, answer: names.holdAnswer }),
  'chunk.list': route({ ...between, request: names.chunkListRequest, answer: names.chunkListAnswer }),
  'manifest.store': route({
    on: 'node',
    allow: ['master'],
    request: names.manifestStoreRequest,
    answer: names.manifestStoreAnswer,
  }),
  'manifest.read': route({
    on: 'node',
    allow: ['master', 'node'],
    request: names.manifestReadRequest,
    answer: names.manifestReadAnswer,
  }),
  'manifest.list': route({ ...between, request: names.manifestListRequest, answer: names.manifestListAnswer }),
  'manifest.index': route({ ...between, request: repair.manifestIndexRequest, answer: repair.manifestIndexAnswer }),
  'chunk.confirm': route({
    on: 'node',
    allow: ['node'],
    request: repair.confirmRequest,
    answer: repair.confirmAnswer,
  }),
  'chunk.give': route({
    on: 'node',
    allow: ['node'],
    ...chunkBody,
    request: repair.giveRequest,
    answer: repair.giveAnswer,
  }),
  'version.fate': route({ ...between, request: hygiene.fateRequest, answer: hygiene.fateAnswer }),
  'hygiene.check': route({
    on: 'node',
    allow: ['gateway'],
    ...small,
    timeoutMs: limits.probeTimeoutMs,
    request: hygiene.checkRequest,
    answer: hygiene.nodeCheck,
  }),
  'name.trace': route({ on: 'node', allow: ['node'], request: hygiene.traceRequest, answer: hygiene.traceAnswer }),
  'digest.read': route({ ...between, request: hygiene.digestReadRequest, answer: hygiene.digestReadAnswer }),
  'digest.list': route({ ...between, request: hygiene.digestListRequest, answer: hygiene.digestListAnswer }),
  'evidence.state': route({
    on: 'node',
    allow: ['master'],
    ...small,
    timeoutMs: limits.holdTimeoutMs,
    request: evidence.evidenceStateRequest,
    answer: evidence.evidenceStateAnswer,
  }),
  'evidence.list': route({
    on: 'node',
    allow: ['master'],
    request: evidence.evidenceListRequest,
    answer: evidence.evidenceListAnswer,
  }),
  'evidence.read': route({
    on: 'node',
    allow: ['master'],
    request: evidence.evidenceReadRequest,
    answer: evidence.evidenceReadAnswer,
  }),
  'evidence.find': route({
    on: 'node',
    allow: ['master'],
    request: evidence.evidenceFindRequest,
    answer: evidence.evidenceFindAnswer,
  }),
  'leader.promise': route({
    on: 'node',
    allow: ['master'],
    ...small,
    request: members.promiseRequest,
    answer: members.promiseAnswer,
  }),
  'layout.adopt': route({
    on: 'node',
    allow: ['master'],
    request: members.layoutOrder,
    answer: members.layoutAcknowledgement,
  }),
  'layout.covered': route({
    on: 'node',
    allow: ['master'],
    ...small,
    request: members.layoutCovered,
    answer: members.accepted,
  }),
  'keys.prepare': route({
    on: 'every-role',
    allow: ['gateway'],
    request: keys.epochDraft,
    answer: members.accepted,
  }),
  'keys.put': route({
    on: 'every-role',
    allow: ['gateway'],
    request: members.keysPutRequest,
    answer: members.accepted,
  }),
  'keys.held': route({
    on: 'every-role',
    allow: ['gateway'],
    request: members.nothing,
    answer: members.keysHeldAnswer,
  }),
  ...starRoutes,
} as const satisfies Record<string, RouteShape>;

export type RouteName = keyof typeof routes;
/** What a caller passes: parsed form, which formatJson writes. */
export type RequestOf<N extends RouteName> = v.InferOutput<(typeof routes)[N]['request']>;
export type AnswerOf<N extends RouteName> = v.InferOutput<(typeof routes)[N]['answer']>;

export const routeNames = Object.keys(routes) as readonly RouteName[];

/** Path of a route: `chunk.store` is `/v1/chunk/store`. */
export const pathOf = (name: RouteName): string => `/v1/${name.replaceAll('.', '/')}`;

/** Routes one listener of one role serves. */
export const routesOf = (role: Role, listener: ListenerKind): readonly RouteName[] =>
  routeNames.filter((name) => {
    const { on, listener: at } = routes[name] as RouteShape;
    return at === listener && (on === role || on === 'every-role') && (on !== 'every-role' || listener === 'mesh');
  });

/** The facts of a route without its message types, for servers. */
export const routeFacts = (name: RouteName): RouteShape => routes[name];
