// Starting a gateway: it issues its own certificate, and its addresses are what others dial first.
import { replaceCertificate } from '../identity/identity-folder.ts';
import type { Registry } from '../registry/registry.ts';
import { createGateway } from '../roles/gateway/app.ts';
import type { RoleAddresses } from './_addresses.ts';
import type { ComposedRole } from './_compose.ts';
import type { StartedRole } from './_started-role.ts';

export const startGateway = (
  { context, open }: ComposedRole,
  addresses: RoleAddresses,
  registry: Registry,
): StartedRole => {
  const gateway = createGateway(context, {
    registry,
    keys: open.keys,
    joinAddresses: () => (addresses.joinAdvertised ? [addresses.joinAdvertised] : []),
    meshAddresses: () => [addresses.advertised],
    zone: addresses.zone,
  });
  return {
    handlers: gateway.meshHandlers,
    joinHandlers: gateway.joinHandlers,
    notReady: () => gateway.notReady(),
    run: () => gateway.start(),
    end: () => registry.close(),
    renew: async () => replaceCertificate(open.identityFolder, context.identity(), await gateway.issueOwn()),
  };
};
