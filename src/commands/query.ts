// `opera query`: star systems by expression, place and name.
import { answerStars, starFlags, textOf } from './_stars.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: [
    "opera query 'mag < 6 and class = G and dist < 10pc' --sort dist --limit 20",
    "opera query 'has planets' --near Sol,10pc --columns name,n_planets,dist",
    'opera query --cone Sirius,2deg',
    "opera query 'class = M and mag < 12' --count",
    "opera query --group class --in 'survey/*.csv'",
    "opera query 'dist < 25pc' --format csv > near.csv",
  ],
  details:
    'The language and the fields: opera help queries. A condition about a value that a record does not have is not ' +
    'true, and neither is its opposite: mag is unknown asks for those. Every record of the catalogues counts once; ' +
    'when some cannot be reached the answer is an error, unless --partial is given.',
  arguments: [{ name: 'expression', summary: 'what must hold, quoted; all records without it', optional: true }],
  flags: {
    cone: { type: 'string', placeholder: 'PLACE', summary: 'STAR,RADIUS or RA,DEC,RADIUS on the sky' },
    near: { type: 'string', placeholder: 'PLACE', summary: 'STAR,DISTANCE, or STAR for order by distance' },
    find: { type: 'string', placeholder: 'NAME', summary: 'a name, alias or identifier' },
    ...starFlags,
  },
  run: (context) => {
    const { args, flags } = context;
    return answerStars(context, {
      ...textOf(flags),
      ...(args.expression === undefined ? {} : { where: args.expression }),
      ...(flags.cone === undefined ? {} : { cone: flags.cone }),
      ...(flags.near === undefined ? {} : { near: flags.near }),
      ...(flags.find === undefined ? {} : { find: flags.find }),
    });
  },
});
