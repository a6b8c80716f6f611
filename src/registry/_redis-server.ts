// What Redis says of itself in INFO, which needs no right to CONFIG: its run id, and settings under which it cannot
// keep a registry. Eviction would take single names away while everything else stays, so that nothing noticed it: such
// a server is refused. Without its append-only file it only forgets more at a restart, which nodes put back.
import { OperaError } from '../errors/errors.ts';

export interface ServerFacts {
  readonly runId: string;
  /** A sentence for people about what should be set otherwise; undefined when nothing should. */
  readonly warning: string | undefined;
}

const noLog = 'Redis keeps no append-only file (appendonly no): after a restart nodes must put back what it lost';

/** Reads the default sections of INFO; `config` when this server cannot be used, with a message that says why. */
export const parseServerInfo = (info: string): ServerFacts => {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const runId = field('run_id');
  if (runId === undefined || !/^[0-9a-f]+$/.test(runId)) throw new OperaError('config', 'Redis tells no run id');
  if (field('cluster_enabled') === '1') throw new OperaError('config', 'it is a Redis Cluster; one server is needed');
  const policy = field('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction') {
    throw new OperaError('config', `its maxmemory-policy ${policy.slice(0, 40)} loses names; set noeviction`);
  }
  return { runId, warning: field('aof_enabled') === '0' ? noLog : undefined };
};
