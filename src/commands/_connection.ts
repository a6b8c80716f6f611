// Opens the profile in use for one verb and closes it again, whatever happens.
import { type Connection, openProfile } from '../client/connection.ts';
import type { VerbBase } from './_verb.ts';

export const withConnection = async <T>(
  { config, clock }: Pick<VerbBase, 'config' | 'clock'>,
  use: (connection: Connection) => Promise<T>,
): Promise<T> => {
  const connection = await openProfile(config.home, { clock });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
};
