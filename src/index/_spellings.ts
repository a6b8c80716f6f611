// How catalogues spell the columns of our fields: HYG, AT-HYG, Gaia, SIMBAD, VizieR, the NASA Exoplanet Archive,
// exoplanet.eu and the Open Exoplanet Catalogue. Data for columns.ts. Of several columns for one field the spelling
// that stands first wins. `word:unit` names the unit where it is not the field's; `?word` is a word that other tables
// use too, so that it alone does not make a file a catalogue.
import type { FieldName } from './fields.ts';

/** Headers in lower case, brackets removed, everything but letters and digits as one `_`, none at the ends. */
export const spellings: Readonly<Partial<Record<FieldName | 'aliases', string>>> = {
  name: `main_id name proper hostname star_name system system_name designation star_id object identifier id_name
    oec_name primary_name common_name`,
  aliases: 'aliases alternate_names alternative_names alt_names ids bf hd_name hip_name tic_id ids_other names',
  hip: 'hip hip_id hipparcos hipparcos_id ids_hip hip_number',
  hd: 'hd hd_id henry_draper ids_hd hd_number',
  hr: 'hr hr_id ids_hr bsc hr_number',
  gj: 'gj gl gliese gliese_id gj_id ids_gj ids_gl',
  gaia: `gaia_dr3 gaia_dr3_id gaia_edr3 gaiadr3 gaia_dr3_source_id source_id source gaia gaia_id gaia_source_id ids_gaia
    ids_gaia_dr3`,
  gaia_dr2: 'gaia_dr2 gaia_dr2_id gaiadr2 gaia_dr2_source_id ids_gaia_dr2 dr2_source_id',
  tyc: 'tyc tyc2 tyc_id tycho tycho2 tyc2_id ids_tyc',
  bayer: 'bayer bayer_letter',
  flamsteed: 'flamsteed flam flamsteed_number',
  variable: 'variable var varname var_name vartype_name',
  ra: `ra_deg radeg ra_icrs raicrs ra_d raj2000 ra_j2000 ra right_ascension ra_ep2000 raep2000 raj2000_deg ra2000
    rah:hour ra_h:hour ra_hours:hour rahours:hour ra_hms:hour rahms:hour rastr:hour ra_s:hour ra_sexa:hour`,
  dec: `dec_deg decdeg dedeg de_icrs deicrs dec_icrs dec_d dej2000 de_j2000 decj2000 dec_j2000 dec declination de
    de_ep2000 dec2000 de_deg dec_dms dedms decstr dec_s de_dms`,
  ref_epoch: 'ref_epoch epoch refepoch ref_epoch_yr ?ep',
  parallax: 'parallax plx plx_value parallax_mas plx_mas sy_plx parallax_milliarcsec par plx_v',
  parallax_error: 'parallax_error e_plx plx_error plx_err parallax_err sy_plxerr1 plx_e e_parallax parallax_mas_error',
  dist_pc: `dist_pc distance_pc sy_dist star_distance system_distance r_est rest distance_gspphot r_med_geo rgeo
    st_dist d_pc dist_ly:ly distance_ly:ly ?dist ?distance`,
  x_pc: 'x_pc xpc ?x0 ?x',
  y_pc: 'y_pc ypc ?y0 ?y',
  z_pc: 'z_pc zpc ?z0 ?z',
  pmra: 'pmra pm_ra pmra_mas_yr pm_ra_cosdec sy_pmra pmra_cosdec',
  pmdec: 'pmdec pm_dec pmde pm_de sy_pmdec pmdec_mas_yr',
  rv: 'radial_velocity rv rvz_radvel rv_value radvel hrv st_radv dr2_radial_velocity rv_km_s',
  mag_v: 'mag_v vmag v_mag flux_v sy_vmag vtmag magv johnson_v magnitude_v phot_v best_mag_v ?mag ?magnitude ?v',
  mag_b: 'mag_b bmag b_mag flux_b sy_bmag btmag ?b',
  mag_g: 'phot_g_mean_mag mag_g gmag g_mag flux_g sy_gaiamag gaia_g gaia_g_mag ?g',
  mag_bp: 'phot_bp_mean_mag bpmag mag_bp bp_mag',
  mag_rp: 'phot_rp_mean_mag rpmag mag_rp rp_mag',
  mag_j: 'mag_j jmag j_mag j_m flux_j sy_jmag ?j',
  mag_h: 'mag_h hmag h_mag h_m flux_h sy_hmag ?h',
  mag_k: 'mag_k kmag k_mag ksmag k_m ks_m flux_k sy_kmag ?k',
  abs_mag: 'abs_mag absmag vabsmag absolute_magnitude mag_abs absolute_mag m_v',
  bv: 'bv b_v ci color_index colour_index bt_vt',
  bp_rp: 'bp_rp bprp',
  spectral_type: `spectral_type sp_type sptype spect st_spectype star_sp_type spectraltype spt best_spectral_type
    spectral     sp spectype spectral_class mk_type`,
  class: 'star_class stellar_class ?class',
  luminosity_class: 'luminosity_class lum_class lumclass',
  teff_k: `teff_k teff st_teff teff_gspphot star_teff effective_temperature hoststar_temperature best_teff_k t_eff
    teff_val ?temperature`,
  logg: 'logg st_logg logg_gspphot log_g star_logg',
  mass: 'mass_msun st_mass star_mass hoststar_mass mass_flame mass_sun m_star ?mass',
  radius: 'radius_rsun st_rad star_radius hoststar_radius radius_flame radius_gspphot radius_sun r_star ?radius',
  luminosity: 'luminosity_lsun lum_flame lum_lsun luminosity lum st_lum log_lum logl ?l',
  feh: `feh fe_h st_met mh_gspphot metallicity metallicity_dex star_metallicity hoststar_metallicity m_h st_metfe
    metallicity_feh`,
  age: 'age_gyr st_age star_age hoststar_age age_flame system_age ?age',
  n_stars: 'n_stars sy_snum num_stars nstars',
  n_planets: 'n_planets sy_pnum num_planets nplanets',
  hz_candidate: 'hz_candidate min_planet_hz habitable hz in_hz habitable_zone',
  constellation: 'constellation con const_abbr',
};

/** Columns that hold the logarithm of base 10. */
export const logarithms: ReadonlySet<string> = new Set(['st_lum', 'log_lum', 'logl']);

/** Only HYG and AT-HYG have these columns, and they give `ra` in hours. */
export const hygMarks: readonly string[] = ['rarad', 'pos_src'];
