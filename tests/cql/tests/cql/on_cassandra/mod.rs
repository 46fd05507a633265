//! All of these need the server, which their names say, so that they are skipped where there is none.

mod answers;
mod audits;
mod buckets;
mod contract;
mod damage;
mod doctor;
mod outcomes;
mod readiness;
mod refusals;
mod retention;
mod serving;
mod startup;
mod takeovers;
mod with_redis;
