//! Bodies with bytes behind their JSON, in and out.
