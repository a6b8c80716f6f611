// Routes about star systems: catalogues, queries, and the indexes of nodes. Part of the one table in routes.ts.
import { limits } from '../model/limits.ts';
import { byGateway, operating, readers, route, type RouteShape, small, users } from './_route.ts';
import * as stars from './messages-index.ts';
import { onBehalf } from './messages-names.ts';

export const starRoutes = {
  'catalogue.list': route({
    on: 'gateway',
    allow: readers,
    ...small,
    request: stars.catalogueListRequest,
    answer: stars.catalogueListAnswer,
  }),
  'index.list': route({
    on: 'gateway',
    allow: users,
    ...small,
    request: stars.indexListRequest,
    answer: stars.indexListAnswer,
  }),
  'index.rebuild': route({ ...operating, request: stars.indexRebuildRequest, answer: stars.indexListAnswer }),
  'master.catalogue.list': route({
    ...byGateway,
    ...small,
    request: onBehalf(stars.catalogueListRequest),
    answer: stars.catalogueListAnswer,
  }),
  'note.read': route({ on: 'node', allow: ['node'], request: stars.noteReadRequest, answer: stars.noteReadAnswer }),
  'index.query': route({
    on: 'node',
    allow: readers,
    timeoutMs: limits.chunkTimeoutMs,
    request: stars.indexQueryRequest,
    answer: stars.indexQueryAnswer,
  }),
  'index.state': route({
    on: 'node',
    allow: readers,
    request: stars.indexStateRequest,
    answer: stars.indexStateAnswer,
  }),
  'index.look': route({
    on: 'node',
    allow: ['gateway'],
    ...small,
    timeoutMs: limits.probeTimeoutMs,
    request: stars.nodeIndexRequest,
    answer: stars.nodeIndex,
  }),
} as const satisfies Record<string, RouteShape>;
