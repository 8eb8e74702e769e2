"""What the dialect has and has not, for SQLAlchemy's suite. What is not here is its default."""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

# What its default leaves out, and SQLite has.
HAS = """
    autocommit check_constraint_reflection computed_columns computed_columns_reflect_persisted
    computed_columns_stored computed_columns_virtual ctes ctes_with_update_delete except_
    date_historic datetime_historic fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict
    foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate
    intersect isolation_level json_type mod_operator_as_percent_sign nullsordering
    order_by_label_with_expression precision_numerics_enotation_large
    precision_numerics_enotation_small reflects_pk_names regexp_match savepoints
    standalone_binds supports_is_distinct_from tuple_in unicode_ddl views
    window_functions
""".split()

# What its default expects, and the reason why it is not there.
HAS_NOT = {
    # Temporary tables are refused: they belong to a connection, and connections are shared.
    "temp_table_reflection": "temporary tables are refused",
    "temp_table_reflect_indexes": "temporary tables are refused",
    "temporary_tables": "temporary tables are refused",
    "schemas": "an app has one database: ATTACH is refused",
    # SQLite, whatever the driver.
    "parens_in_union_contained_select_w_limit_offset": "SQLite has no parentheses there",
    "parens_in_union_contained_select_wo_limit_offset": "SQLite has no parentheses there",
    "implicitly_named_constraints": "SQLite gives no names",
    "implicit_decimal_binds": "SQLite has no decimals",
    "sane_rowcount_w_returning": "SQLAlchemy 1.4 does not use RETURNING on SQLite",
}


def _having(reason=None):
    rule = exclusions.open() if reason is None else exclusions.skip_if(lambda: True, reason)
    return property(lambda self: rule)


class Requirements(SuiteRequirements):
    def get_isolation_levels(self, config):
        # What SQLite always is. READ UNCOMMITTED can be asked for and changes nothing: it would be
        # a setting of a connection, and connections are shared.
        return {"default": "SERIALIZABLE", "supported": ["SERIALIZABLE"]}


for _name in HAS:
    setattr(Requirements, _name, _having())
for _name, _reason in HAS_NOT.items():
    setattr(Requirements, _name, _having(_reason))
