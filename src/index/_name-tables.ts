// Words that star names are made of: Greek letters, the 88 constellations, catalogue prefixes. Data for names.ts.
// Abbreviations and genitives of constellations: IAU 1922, 1930. Greek abbreviations: those of SIMBAD, of Bayer's
// letters in HYG and in the Bright Star catalogue.

/** Letter, SIMBAD's abbreviation (the one we keep), and the other ways to write it, all in lower case. */
const greek: readonly (readonly [string, string, string])[] = [
  ['α', 'alf', 'alpha alp'],
  ['β', 'bet', 'beta'],
  ['γ', 'gam', 'gamma'],
  ['δ', 'del', 'delta'],
  ['ε', 'eps', 'epsilon'],
  ['ζ', 'zet', 'zeta'],
  ['η', 'eta', ''],
  ['θ', 'tet', 'theta the'],
  ['ι', 'iot', 'iota'],
  ['κ', 'kap', 'kappa'],
  ['λ', 'lam', 'lambda'],
  ['μ', 'mu', ''],
  ['ν', 'nu', ''],
  ['ξ', 'ksi', 'xi'],
  ['ο', 'omi', 'omicron'],
  ['π', 'pi', ''],
  ['ρ', 'rho', ''],
  ['σ', 'sig', 'sigma'],
  ['τ', 'tau', ''],
  ['υ', 'ups', 'upsilon'],
  ['φ', 'phi', ''],
  ['χ', 'chi', ''],
  ['ψ', 'psi', ''],
  ['ω', 'ome', 'omega'],
];

/** Abbreviation, nominative, genitive. */
const constellations =
  `And Andromeda Andromedae|Ant Antlia Antliae|Aps Apus Apodis|Aqr Aquarius Aquarii|Aql Aquila Aquilae
Ara Ara Arae|Ari Aries Arietis|Aur Auriga Aurigae|Boo Bootes Bootis|Cae Caelum Caeli|Cam Camelopardalis Camelopardalis
Cnc Cancer Cancri|CVn Canes_Venatici Canum_Venaticorum|CMa Canis_Major Canis_Majoris|CMi Canis_Minor Canis_Minoris
Cap Capricornus Capricorni|Car Carina Carinae|Cas Cassiopeia Cassiopeiae|Cen Centaurus Centauri|Cep Cepheus Cephei
Cet Cetus Ceti|Cha Chamaeleon Chamaeleontis|Cir Circinus Circini|Col Columba Columbae|Com Coma_Berenices Comae_Berenices
CrA Corona_Australis Coronae_Australis|CrB Corona_Borealis Coronae_Borealis|Crv Corvus Corvi|Crt Crater Crateris
Cru Crux Crucis|Cyg Cygnus Cygni|Del Delphinus Delphini|Dor Dorado Doradus|Dra Draco Draconis|Equ Equuleus Equulei
Eri Eridanus Eridani|For Fornax Fornacis|Gem Gemini Geminorum|Gru Grus Gruis|Her Hercules Herculis
Hor Horologium Horologii|Hya Hydra Hydrae|Hyi Hydrus Hydri|Ind Indus Indi|Lac Lacerta Lacertae|Leo Leo Leonis
LMi Leo_Minor Leonis_Minoris|Lep Lepus Leporis|Lib Libra Librae|Lup Lupus Lupi|Lyn Lynx Lyncis|Lyr Lyra Lyrae
Men Mensa Mensae|Mic Microscopium Microscopii|Mon Monoceros Monocerotis|Mus Musca Muscae|Nor Norma Normae
Oct Octans Octantis|Oph Ophiuchus Ophiuchi|Ori Orion Orionis|Pav Pavo Pavonis|Peg Pegasus Pegasi|Per Perseus Persei
Phe Phoenix Phoenicis|Pic Pictor Pictoris|Psc Pisces Piscium|PsA Piscis_Austrinus Piscis_Austrini|Pup Puppis Puppis
Pyx Pyxis Pyxidis|Ret Reticulum Reticuli|Sge Sagitta Sagittae|Sgr Sagittarius Sagittarii|Sco Scorpius Scorpii
Scl Sculptor Sculptoris|Sct Scutum Scuti|Ser Serpens Serpentis|Sex Sextans Sextantis|Tau Taurus Tauri
Tel Telescopium Telescopii|Tri Triangulum Trianguli|TrA Triangulum_Australe Trianguli_Australis|Tuc Tucana Tucanae
UMa Ursa_Major Ursae_Majoris|UMi Ursa_Minor Ursae_Minoris|Vel Vela Velorum|Vir Virgo Virginis|Vol Volans Volantis
Vul Vulpecula Vulpeculae`
    .split(/[|\n]/)
    .map((row) => row.trim().split(' '));

/** Any way to write a Greek letter in lower case → SIMBAD's abbreviation. Final sigma and the symbol forms too. */
export const greekOf: ReadonlyMap<string, string> = new Map([
  ...greek.flatMap(([letter, short, others]) =>
    [letter, short, ...others.split(' ').filter(Boolean)].map((word): [string, string] => [word, short]),
  ),
  ['ς', 'sig'],
  ['ϑ', 'tet'],
  ['ϕ', 'phi'],
  ['ϵ', 'eps'],
]);

/** `cma` → `CMa`: abbreviations in lower case to their one spelling. */
export const constellationOf: ReadonlyMap<string, string> = new Map(
  constellations.flatMap(([short = '', nominative = '', genitive = '']) =>
    [short, nominative, genitive].map((word): [string, string] => [word.toLowerCase().replace('_', ' '), short]),
  ),
);

/** Genitives in lower case → abbreviation in lower case, longest first, so that `leonis minoris` beats `leonis`. */
export const genitives: readonly (readonly [string, string])[] = [
  ...constellations.map(([short = '', , genitive = '']): [string, string] => [
    genitive.toLowerCase().replace('_', ' '),
    short.toLowerCase(),
  ]),
  ['piscis australis', 'psa'] as const,
].sort(([a], [b]) => b.length - a.length);

/** Abbreviations in lower case. */
export const abbreviations: ReadonlySet<string> = new Set(constellations.map(([short = '']) => short.toLowerCase()));

/** Ways to write a catalogue, in lower case without spaces → the one we keep. */
export const catalogueOf: ReadonlyMap<string, string> = new Map(
  Object.entries({
    hip: 'hip hipparcos',
    hd: 'hd hde henrydraper',
    hr: 'hr bsc bs yale',
    gj: 'gj gl gliese glies',
    gaiadr3: 'gaiadr3 gaiaedr3 gaia',
    gaiadr2: 'gaiadr2',
    gaiadr1: 'gaiadr1',
    tyc: 'tyc tycho tycho2',
    sao: 'sao',
    tic: 'tic',
    kic: 'kic',
    epic: 'epic',
    toi: 'toi',
    koi: 'koi',
    wo: 'wo woolley',
    nn: 'nn',
    lhs: 'lhs',
    ltt: 'ltt',
    ross: 'ross',
    wolf: 'wolf',
  }).flatMap(([kept, words]) => words.split(' ').map((word): [string, string] => [word, kept])),
);
