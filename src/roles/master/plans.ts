// Plans: what a client needs to move bytes by itself: layouts, addresses of nodes, and a ticket that nodes verify
// without asking anyone. A ticket names client, versions, layout and incarnation and lives at most a minute.
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { issueTicket, renewTicket, subjectOf, type TicketOperation } from '../../identity/ticket.ts';
import { type KeyHash, type VersionId, versionIdFromBytes } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { parseWireName } from '../../model/names.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { RegistryLife } from '../../registry/registry.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { MasterCore, View } from './core.ts';
import { durableChunks } from './holdings.ts';
import type { ManifestWriter } from './durable.ts';

type PlanPart = Pick<
  AnswerOf<'upload.open'>,
  'layouts' | 'layoutNumber' | 'nodes' | 'incarnation' | 'keyEpoch' | 'nowMs'
>;

/** The common part of every plan. Layouts are left out when the client says it has the only one there is. */
export const planPart = (core: MasterCore, view: View, life: RegistryLife, haveLayout: number): PlanPart => {
  const known = view.layouts.length === 1 && haveLayout === view.newest.number;
  return {
    layouts: known ? [] : view.layouts.map(({ stored }) => ({ ...stored.layout })),
    layoutNumber: view.newest.number,
    nodes: core.nodesOf(view),
    incarnation: life.incarnation,
    keyEpoch: life.keyEpoch,
    nowMs: core.ticketMs,
  };
};

export const ticketFor = (
  core: MasterCore,
  operation: TicketOperation,
  client: KeyHash,
  versions: readonly VersionId[],
  at: { readonly layoutNumber: number; readonly incarnation: number },
): SignedRecord => {
  const { random, networkId, identity } = core.context;
  const issuedMs = core.ticketMs;
  return issueTicket(
    {
      operation,
      networkId,
      client,
      subject: subjectOf(versions),
      layoutNumber: at.layoutNumber,
      chunkLimit: limits.chunkIndexMax,
      incarnation: at.incarnation,
      issuedMs,
      expiresMs: issuedMs + limits.ticketLifeMs,
      id: random.bytes(16),
    },
    identity().signer,
  );
};

/** Opens uploads: draws version ids, notes them in the registry, answers what each name is now. */
export const openUploads = async (
  core: MasterCore,
  writer: ManifestWriter,
  client: KeyHash,
  request: RequestOf<'upload.open'>,
): Promise<AnswerOf<'upload.open'>> => {
  const names = request.names.map((name) => parseWireName(name));
  if (new Set(names).size !== names.length) throw new OperaError('bad-request', 'a name stands twice');
  const pending = await core.registry.listPendingOf(names);
  await writer.finishAll(pending.map(({ sequence }) => sequence));
  for (let attempt = 1; ; attempt++) {
    try {
      return await openOnce(core, client, names, request.haveLayout);
    } catch (error) {
      // A layout was made between the look and the step; several in a row are no accident.
      if (!isOperaError(error, 'layout-changed') || attempt >= limits.layoutsUnretiredMax) throw error;
    }
  }
};

const openOnce = async (
  core: MasterCore,
  client: KeyHash,
  names: readonly string[],
  haveLayout: number,
): Promise<AnswerOf<'upload.open'>> => {
  const [view, life] = await Promise.all([core.view(), core.life()]);
  const uploads = names.map((name) => ({ name, version: versionIdFromBytes(core.context.random.bytes(16)) }));
  const { incarnation } = life;
  const layoutNumber = view.newest.number;
  const current = await core.registry.openUploads({ incarnation, client, layoutNumber, uploads });
  const versions = uploads.map(({ version }) => version);
  return {
    ...planPart(core, view, life, haveLayout),
    uploads: versions.map((version, at) => {
      const before = current[at];
      return before ? { version, current: { version: before.version, sequence: before.sequence } } : { version };
    }),
    ticket: { ...ticketFor(core, 'put', client, versions, { layoutNumber, incarnation }) },
  };
};

const trustOf = (core: MasterCore, client: KeyHash, life: RegistryLife) => ({
  networkId: core.context.networkId,
  roster: core.context.rosters.roster,
  client,
  incarnation: life.incarnation,
  nowMs: core.context.clock.nowMs(),
  clockOffsetMs: core.ticketOffsetMs,
});

/** A new ticket on the old one alone, for the newest layout. */
export const renew = async (
  core: MasterCore,
  client: KeyHash,
  request: RequestOf<'ticket.renew'>,
): Promise<AnswerOf<'ticket.renew'>> => {
  const { view, life } = await core.viewOrLast();
  const { versions, ticket } = request;
  const renewal = {
    ...trustOf(core, client, life),
    versions,
    layoutNumber: view.newest.number,
    id: core.context.random.bytes(16),
  };
  const renewed = renewTicket(ticket, renewal, core.context.identity().signer);
  return { ...planPart(core, view, life, request.haveLayout), ticket: { ...renewed } };
};

/** Which chunks of an open upload are durable already. The ticket shows that the upload is the client's own. */
export const uploadHeld = async (
  core: MasterCore,
  client: KeyHash,
  request: RequestOf<'upload.held'>,
): Promise<AnswerOf<'upload.held'>> => {
  const { version, from, to, ticket, versions } = request;
  if (to <= from || to - from > 65_536) throw new OperaError('bad-request', 'a range of 1 to 65,536 chunks');
  if (!versions.includes(version)) throw new OperaError('ticket-invalid', 'the ticket does not cover that version');
  const [view, life] = await Promise.all([core.view(), core.life()]);
  // Renewing verifies the old ticket in full; the new one is not used.
  const id = core.context.random.bytes(16);
  const layoutNumber = view.newest.number;
  renewTicket(ticket, { ...trustOf(core, client, life), versions, layoutNumber, id }, core.context.identity().signer);
  const [open] = await core.registry.listOpenUploads([version]);
  if (!open) throw new OperaError('upload-closed');
  return { held: await durableChunks(core, view, { version, from, to }) };
};
