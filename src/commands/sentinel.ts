// `opera sentinel`: runs this machine as a sentinel of a network.
import { defineRoleVerb } from './_role-verb.ts';

export const command = defineRoleVerb('sentinel');
