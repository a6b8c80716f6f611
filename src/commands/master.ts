// `opera master`: runs this machine as a master of a network.
import { defineRoleVerb } from './_role-verb.ts';

export const command = defineRoleVerb('master');
