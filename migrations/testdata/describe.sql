WITH ns AS (SELECT 'rolecall'::regnamespace AS oid),
enums AS (
    SELECT 1 AS part, t.typname AS name, format('CREATE TYPE rolecall.%I AS ENUM (%s);', t.typname,
        string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)) AS ddl
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid, ns WHERE t.typnamespace = ns.oid GROUP BY t.typname
),
functions AS (
    SELECT 2, p.proname || pg_get_function_identity_arguments(p.oid), rtrim(pg_get_functiondef(p.oid), E' \n') || ';'
    FROM pg_proc p, ns WHERE p.pronamespace = ns.oid
),
sequences AS (
    SELECT 3, c.relname, format('CREATE SEQUENCE rolecall.%I;', c.relname)
    FROM pg_class c, ns WHERE c.relnamespace = ns.oid AND c.relkind = 'S'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
),
columns AS (
    SELECT a.attrelid, string_agg(format(E'    %I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attidentity <> '' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END,
            CASE WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
                 WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
            CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END), E',\n' ORDER BY a.attnum) AS list
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
),
keys AS ( -- 'n', the named NOT NULL of Postgres 18, is in the column already
    SELECT conrelid, string_agg(format(E',\n    CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), '' ORDER BY conname) AS list
    FROM pg_constraint WHERE contype IN ('p', 'u', 'c', 'f', 'x') GROUP BY conrelid
),
tables AS (
    SELECT 4, c.relname, format(E'CREATE %sTABLE rolecall.%I (\n%s%s\n)%s;',
        CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED ' ELSE '' END, c.relname, columns.list, keys.list,
        CASE WHEN c.reloptions IS NULL THEN '' ELSE ' WITH (' || array_to_string(c.reloptions, ', ') || ')' END)
    FROM ns, pg_class c JOIN columns ON columns.attrelid = c.oid LEFT JOIN keys ON keys.conrelid = c.oid
    WHERE c.relnamespace = ns.oid AND c.relkind = 'r'
),
indexes AS (
    SELECT 5, c.relname || ' ' || i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ';'
    FROM ns, pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = ns.oid AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
),
views AS (
    SELECT 6, c.relname, format(E'CREATE VIEW rolecall.%I AS\n%s', c.relname, pg_get_viewdef(c.oid))
    FROM pg_class c, ns WHERE c.relnamespace = ns.oid AND c.relkind = 'v'
),
triggers AS (
    SELECT 7, t.tgname, pg_get_triggerdef(t.oid) || ';'
    FROM ns, pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = ns.oid AND NOT t.tgisinternal
)
SELECT ddl FROM (
    TABLE enums UNION ALL TABLE functions UNION ALL TABLE sequences UNION ALL TABLE tables
    UNION ALL TABLE indexes UNION ALL TABLE views UNION ALL TABLE triggers
) AS parts ORDER BY part, name COLLATE "C";
