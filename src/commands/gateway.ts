// `opera gateway`: runs this machine as a gateway of a network.
import { defineRoleVerb } from './_role-verb.ts';

export const command = defineRoleVerb('gateway');
