//! The words of SQL, by what they are (`words.rs`).
//!
//! **In:** nothing. **Out:** the list that both tables are built from.
//! **Invariant:** no word is listed twice (a test).
//! **Source:** the reserved words and function lists of MySQL, PostgreSQL, SQL Server, Oracle, SQLite, Db2, Access, Firebird,
//! ClickHouse, HSQLDB and Vertica manuals.

use super::words::{
    W_ALL, W_ANALYSE, W_AS, W_BY, W_CASE, W_DANGER, W_DDL, W_DECLARE, W_DELAY, W_DELETE, W_DIV,
    W_DROP, W_EXEC, W_EXISTS, W_FLOW, W_FROM, W_FUNC, W_GRANT, W_HAVING, W_IF, W_INTO, W_JOINT,
    W_LIKE, W_LIMIT, W_LIT, W_LOGIC, W_NATIVE, W_NOT, W_OBJECT, W_ORDER, W_OUTFILE, W_PART, W_PROC,
    W_REPLACE, W_RUN, W_SCHEMA, W_SELECT, W_SERVER, W_SET, W_SHUTDOWN, W_TEST, W_TIMED, W_TYPE,
    W_UNARY, W_UNION, W_UPDATE, W_VALUE, W_VALUES, W_VERB, W_WAITFOR, W_WHEN, W_WHERE,
};

/// Kinds, and the words of each with a blank between them.
pub(in super::super) const LIST: &[(u8, &[u8])] = &[
    (W_LOGIC, b"and or xor"),
    (W_UNION, b"union intersect except minus"),
    (W_SELECT, b"select"),
    (
        W_ALL,
        b"all distinct distinctrow any some top sql_calc_found_rows straight_join low_priority high_priority \
          delayed quick ignore immediate",
    ),
    (W_FROM, b"from"),
    (W_WHERE, b"where"),
    (W_INTO, b"into"),
    (W_OUTFILE, b"outfile dumpfile"),
    (W_ORDER, b"order group"),
    (W_BY, b"by"),
    (W_HAVING, b"having"),
    (W_LIMIT, b"limit offset"),
    (W_DROP, b"drop truncate"),
    (W_DDL, b"create alter rename backup"),
    (
        W_OBJECT,
        b"table database user view procedure function trigger index schema role login column temporary \
          assembly extension",
    ),
    (W_UPDATE, b"update"),
    (W_DELETE, b"delete"),
    (W_SET, b"set"),
    (W_RUN, b"exec execute"),
    (W_EXEC, b"call"),
    (W_DECLARE, b"declare"),
    (W_VERB, b"copy handler merge vacuum attach detach pragma prepare"),
    (W_WAITFOR, b"waitfor"),
    (W_DELAY, b"delay"),
    (W_SHUTDOWN, b"shutdown"),
    (W_EXISTS, b"exists"),
    (
        W_SCHEMA,
        b"information_schema sysobjects syscolumns sysusers pg_catalog pg_shadow pg_user pg_tables pg_database \
          pg_class pg_authid pg_roles pg_stat_activity sqlite_temp_master all_tab_tables all_tab_cols \
          sysmaster systables sysdummy1 sysibm syscat syscolumnpriv rdb$database rdb$fields rdb$types \
          user_users user_objects all_objects dba_tables dba_tab_columns dba_data_files v$instance v$session \
          system_users msysqueries msysrelationships syssegments syscharsets sqlite_master sqlite_schema \
          all_tables all_tab_columns user_tables user_tab_columns dba_users all_users msysobjects \
          msysaccessobjects sysdatabases syslogins sysprocesses msysaces sysservers v$version \
          innodb_table_stats sysaltfiles sysxlogins sysconfigures sysusermessages syspermissions sysprotects \
          sysmembers sysdepends sysindexes syscomments sysforeignkeys all_procedures all_source all_views \
          all_constraints all_col_comments dba_objects dba_sys_privs dba_role_privs dba_source dba_views \
          dba_roles user_constraints user_tab_privs user_role_privs user_source v$parameter v$database v$sql \
          v$sqlarea v$session_wait gv$instance pg_namespace pg_attribute pg_proc pg_settings pg_language \
          pg_index pg_group pg_views pg_stat_user_tables pg_largeobject pg_hba_file_rules rdb$relations \
          rdb$relation_fields rdb$user_privileges rdb$collations rdb$functions rdb$indices mon$attachments \
          mon$database mon$statements sec$users syscolauth systabauth sysdbauth syspassauthorization \
          innodb_index_stats innodb_sys_tables msysnavpanegroups msysimexspecs sqlite_sequence sqlite_stat1 \
          sqlite_temp_schema",
    ),
    (W_LIKE, b"like rlike regexp between in is ilike sounds glob"),
    (W_NOT, b"not"),
    (W_DIV, b"div mod"),
    (W_LIT, b"null true false"),
    (W_TIMED, b"benchmark sleep"),
    (
        W_DANGER,
        b"pg_sleep pg_sleep_for pg_sleep_until load_file extractvalue updatexml randomblob group_concat \
          concat_ws pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file pg_reload_conf lo_import lo_export \
          lo_get lo_from_bytea sys_eval sys_exec load_extension dblink dblink_connect make_set gtid_subset \
          gtid_subtract fn_varbintohexstr fn_trace_gettable query_to_xml database_to_xml table_to_xml \
          st_latfromgeohash st_longfromgeohash st_pointfromgeohash geometrycollection multipoint \
          multilinestring multipolygon linestring name_const regexp_substring crypt_key java_method zeroblob \
          fts3_tokenizer writefile readfile sqlite_compileoption_used sqlite_compileoption_get \
          sqlite_source_id load_xml exportset export_set procedure_analyse xmltype sleepeachrow pg_logdir_ls \
          lo_put query_to_xmlschema cursor_to_xml schema_to_xml database_to_xmlschema ts_stat dblink_exec \
          dblink_connect_u against",
    ),
    (
        W_PROC,
        b"xp_cmdshell xp_dirtree xp_regread xp_regwrite xp_fileexist xp_subdirs xp_availablemedia \
          xp_servicecontrol xp_loginconfig xp_terminate_process sp_executesql sp_password sp_oacreate \
          sp_oamethod sp_makewebtask sp_addsrvrolemember sp_addlogin sp_addextendedproc sp_configure \
          sp_msforeachtable sp_execute_external_script utl_http utl_inaddr utl_file utl_smtp utl_tcp \
          httpuritype dbms_pipe dbms_lock dbms_ldap dbms_java dbms_xmlgen dbms_xmlquery dbms_xslprocessor \
          dbms_scheduler dbms_export_extension dbms_sql dbms_session dbms_utility dbms_assert dbms_cdc_publish \
          dbms_metadata ctxsys opendatasource openrowset openquery user_lock dbms_random dbms_xmlstore \
          dbms_advisor dbms_network_acl_admin dbms_crypto dbms_output dbms_obfuscation_toolkit utl_raw \
          utl_encode utl_url utl_mail utl_i18n utl_recomp owa_util xp_getnetname xp_enumgroups \
          xp_enumerrorlogs xp_enumdsn xp_ntsec_enumdomains xp_regdeletevalue xp_regdeletekey xp_regenumkeys \
          xp_regenumvalues xp_regaddmultistring xp_regremovemultistring xp_logininfo xp_makecab xp_msver \
          xp_sprintf xp_grantlogin xp_revokelogin xp_delete_file xp_fixeddrives xp_getfiledetails \
          xp_readerrorlog xp_instance_regread xp_instance_regwrite xp_startmail xp_sendmail sp_oagetproperty \
          sp_oasetproperty sp_oadestroy sp_oageterrorinfo sp_helptext sp_help sp_helpdb sp_helpserver \
          sp_linkedservers sp_tables sp_columns sp_databases sp_who sp_who2 sp_addlinkedserver \
          sp_addlinkedsrvlogin sp_serveroption sp_start_job sp_add_job sp_add_jobstep sp_add_jobserver \
          sp_prepare sp_prepexec sp_cursoropen sp_sqlexec sp_replwritetovarbin \
          sp_invoke_external_rest_endpoint sp_msforeachdb",
    ),
    (
        W_NATIVE,
        b"unhex nchar ifnull iif nullif coalesce nvl nvl2 current_database current_schema user_name suser_name \
          suser_sname db_name host_name schema_name object_id object_name col_name col_length last_insert_id \
          json_extract json_depth json_valid json_keys json_value json_query json_array json_object \
          json_search json_build_object json_array_elements jsonb_pretty jsonb_object_keys json_group_array \
          string_agg array_agg array_to_string aes_decrypt aes_encrypt des_encrypt des_decrypt find_in_set \
          sysdate connection_id coercibility isnull lpad rpad ltrim rtrim soundex starts_with unistr \
          sqlite_version likelihood unlikely total_changes char_length character_length octet_length \
          bit_length uuid_short row_count found_rows get_lock release_lock is_free_lock is_used_lock \
          master_pos_wait to_char to_number to_date listagg wm_concat has_table_privilege inet_server_addr \
          generate_series regexp_replace regexp_substr regexp_like regexp_instr regexp_count sha2 uncompress \
          uncompressed_length from_base64 to_base64 is_srvrolemember is_member serverproperty patindex \
          charindex newid getdate overlay sys_context bitand greatest least rawtohex ascii_char ascii_val \
          quote_literal quote_ident to_jsonb utc_timestamp from_unixtime unix_timestamp date_format nchr \
          substring_index bit_and bit_or bit_xor group_id session_context has_dbaccess permissions ora_hash \
          stddev_pop var_samp load_blob xmlelement xmlagg xmlforest xmlparse dense_rank row_number ntile \
          percent_rank bin_to_uuid ps_thread_id format_bytes inet_aton inet6_aton inet_ntoa concat char chr \
          ascii ord substring substr mid hex cast convert version md5 sha1 sha elt trunc decode encode \
          compress instr locate conv oct crc32 bit_count unicode date_add date_sub datediff try_convert \
          try_cast strcomp curdate curtime to_days last_day adddate subdate timestampdiff timestampadd \
          unixepoch julianday switchoffset zeroifnull nullifzero bitcount bitstring_to_binary raise_error \
          object_definition xmlserialize to_clob to_nchar hextoraw ascii_str asciistr numtodsinterval lengthb \
          substrb instrb vsize userenv current_setting set_config pg_typeof pg_backend_pid quote_nullable \
          regexp_matches regexp_split_to_table regexp_split_to_array string_to_array row_to_json json_agg \
          jsonb_agg json_each json_tree json_table json_contains json_overlaps json_unquote json_type \
          jsonb_path_exists jsonb_path_query array_to_json xpath_exists datepart datename dateadd quotename \
          parsename binary_checksum hashbytes fn_listextendedproperty connectionproperty databasepropertyex \
          sessionproperty original_login suser_id suser_sid schema_id scope_identity ident_current \
          is_rolemember has_perms_by_name toint64ornull toint32 tostringcutofffromzero fqdn arraystringconcat \
          currentdatabase base64_encode system$typeof",
    ),
    (
        W_FUNC,
        b"strcmp count length len floor ceil ceiling rand random lower upper bin cos sin tan acos asin atan \
          cot pi pow power exp log ln sqrt sign abs round reverse repeat space left right lcase ucase trim \
          encrypt password position quote typeof likely changes format hash glob_match stuff replicate \
          translate initcap decrypt isnumeric uuid",
    ),
    (
        W_VALUE,
        b"current_user system_user session_user current_date current_time current_timestamp rownum rowid \
          sqlcode localtimestamp current_role current_catalog",
    ),
    (
        W_TYPE,
        b"json int int2 int4 int8 integer bigint smallint bool boolean double text jsonb numeric decimal float \
          float4 float8 real money regclass xml bytea oid inet cidr timestamp timestamptz varchar bpchar",
    ),
    (W_IF, b"if"),
    (W_REPLACE, b"replace insert"),
    (W_CASE, b"case"),
    (W_WHEN, b"when"),
    (W_AS, b"as"),
    (W_VALUES, b"values"),
    (W_GRANT, b"grant revoke"),
    (W_FLOW, b"begin while else then loop"),
    (W_JOINT, b"collate escape similar overlaps eqv imp"),
    (W_TEST, b"notnull"),
    (W_ANALYSE, b"analyse"),
    (
        W_PART,
        b"max min sum avg now date day dayname dayofmonth dayofweek dayofyear minute month monthname year hour \
          second quarter time week weekday default local localtime degrees radians log10 log2 atan2 std stddev \
          variance",
    ),
    (W_SERVER, b"msdasql sqloledb"),
    (W_UNARY, b"binary prior"),
];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::LIST;

    #[test]
    fn no_word_is_listed_twice() {
        let mut words: Vec<_> = LIST
            .iter()
            .flat_map(|(_, words)| words.split(|byte| *byte == b' '))
            .collect();
        words.sort_unstable();
        let before = words.len();
        words.dedup();
        assert_eq!(words.len(), before);
        assert!(words.iter().all(|word| !word.is_empty()));
    }
}
