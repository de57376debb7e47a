"""Every operation of Identity v3: what upstream has, under which rule, and with which status it ends well.

A line is METHOD PATH RULE[,RULE...] [STATUS,...]; `-` is no rule. Statuses are named where they are not those of the
method (200; POST 201; PUT and DELETE 204), or are refusals that few operations have. HEAD answers as GET does.
"""

# ruff: noqa: E501 - one operation, one line
from __future__ import annotations

from kilostack.http.operations import parsed

OPERATIONS = parsed(
    """
GET / -
GET /OS-EP-FILTER/endpoint_groups list_endpoint_groups
POST /OS-EP-FILTER/endpoint_groups create_endpoint_group
GET /OS-EP-FILTER/endpoint_groups/{endpoint_group_id} get_endpoint_group
PATCH /OS-EP-FILTER/endpoint_groups/{endpoint_group_id} update_endpoint_group
DELETE /OS-EP-FILTER/endpoint_groups/{endpoint_group_id} delete_endpoint_group
GET /OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints list_endpoints_associated_with_endpoint_group
GET /OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects list_projects_associated_with_endpoint_group
GET /OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id} get_endpoint_group_in_project
PUT /OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id} add_endpoint_group_to_project
DELETE /OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id} remove_endpoint_group_from_project
GET /OS-EP-FILTER/endpoints/{endpoint_id}/projects list_projects_for_endpoint
GET /OS-EP-FILTER/projects/{project_id}/endpoint_groups list_endpoint_groups_for_project
GET /OS-EP-FILTER/projects/{project_id}/endpoints list_endpoints_for_project
GET /OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id} check_endpoint_in_project 204
PUT /OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id} add_endpoint_to_project
DELETE /OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id} remove_endpoint_from_project
GET /OS-FEDERATION/domains -
GET /OS-FEDERATION/identity_providers list_identity_providers
GET /OS-FEDERATION/identity_providers/{idp_id} get_identity_provider
PUT /OS-FEDERATION/identity_providers/{idp_id} create_identity_provider 201
PATCH /OS-FEDERATION/identity_providers/{idp_id} update_identity_provider
DELETE /OS-FEDERATION/identity_providers/{idp_id} delete_identity_provider
GET /OS-FEDERATION/identity_providers/{idp_id}/protocols list_protocols
GET /OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id} get_protocol
PUT /OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id} create_protocol 201
PATCH /OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id} update_protocol
DELETE /OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id} delete_protocol
GET /OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/auth - 201
POST /OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/auth -
GET /OS-FEDERATION/mappings list_mappings
GET /OS-FEDERATION/mappings/{mapping_id} get_mapping
PUT /OS-FEDERATION/mappings/{mapping_id} create_mapping 201
PATCH /OS-FEDERATION/mappings/{mapping_id} update_mapping
DELETE /OS-FEDERATION/mappings/{mapping_id} delete_mapping
GET /OS-FEDERATION/projects -
GET /OS-FEDERATION/service_providers list_service_providers
GET /OS-FEDERATION/service_providers/{service_provider_id} get_service_provider
PUT /OS-FEDERATION/service_providers/{service_provider_id} create_service_provider 201
PATCH /OS-FEDERATION/service_providers/{service_provider_id} update_service_provider
DELETE /OS-FEDERATION/service_providers/{service_provider_id} delete_service_provider
GET /OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/inherited_to_projects list_grants
GET /OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects check_grant 204
PUT /OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects create_grant
DELETE /OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects revoke_grant
GET /OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/inherited_to_projects list_grants
GET /OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects check_grant 204
PUT /OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects create_grant
DELETE /OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects revoke_grant
GET /OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects check_grant 204
PUT /OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects create_grant
DELETE /OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects revoke_grant
GET /OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects check_grant 204
PUT /OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects create_grant
DELETE /OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects revoke_grant
POST /OS-OAUTH1/access_token -
PUT /OS-OAUTH1/authorize/{request_token_id} authorize_request_token 200
GET /OS-OAUTH1/consumers list_consumers
POST /OS-OAUTH1/consumers create_consumer
GET /OS-OAUTH1/consumers/{consumer_id} get_consumer
PATCH /OS-OAUTH1/consumers/{consumer_id} update_consumer
DELETE /OS-OAUTH1/consumers/{consumer_id} delete_consumer
POST /OS-OAUTH1/request_token -
GET /OS-OAUTH2/token - 405
HEAD /OS-OAUTH2/token - 405
POST /OS-OAUTH2/token - 200
PUT /OS-OAUTH2/token - 405
PATCH /OS-OAUTH2/token - 405
DELETE /OS-OAUTH2/token - 405
GET /OS-REVOKE/events list_revoke_events
GET /OS-SIMPLE-CERT/ca - 410
GET /OS-SIMPLE-CERT/certificates - 410
GET /OS-TRUST/trusts list_trusts,list_trusts_for_trustor,list_trusts_for_trustee
POST /OS-TRUST/trusts create_trust
GET /OS-TRUST/trusts/{trust_id} get_trust
DELETE /OS-TRUST/trusts/{trust_id} delete_trust
GET /OS-TRUST/trusts/{trust_id}/roles list_roles_for_trust
GET /OS-TRUST/trusts/{trust_id}/roles/{role_id} get_role_for_trust
GET /auth/OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/websso - 200,302
POST /auth/OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/websso - 200,302
GET /auth/OS-FEDERATION/websso/{protocol_id} - 200,302
POST /auth/OS-FEDERATION/websso/{protocol_id} - 200,302
GET /auth/catalog get_auth_catalog
GET /auth/domains get_auth_domains
GET /auth/projects get_auth_projects
GET /auth/system get_auth_system
GET /auth/tokens validate_token
HEAD /auth/tokens check_token
POST /auth/tokens - 201,429
DELETE /auth/tokens revoke_token
GET /auth/tokens/OS-PKI/revoked -
GET /credentials list_credentials
POST /credentials create_credential
GET /credentials/{credential_id} get_credential
PATCH /credentials/{credential_id} update_credential
DELETE /credentials/{credential_id} delete_credential
GET /domains list_domains
POST /domains create_domain
GET /domains/config/default get_domain_config_default
GET /domains/config/{group}/default get_domain_config_default
GET /domains/config/{group}/{option}/default get_domain_config_default
GET /domains/{domain_id} get_domain
PATCH /domains/{domain_id} update_domain
DELETE /domains/{domain_id} delete_domain
GET /domains/{domain_id}/config get_domain_config
PUT /domains/{domain_id}/config create_domain_config 200,201
PATCH /domains/{domain_id}/config update_domain_config
DELETE /domains/{domain_id}/config delete_domain_config
GET /domains/{domain_id}/config/{group} get_domain_config,get_security_compliance_domain_config
PATCH /domains/{domain_id}/config/{group} update_domain_config
DELETE /domains/{domain_id}/config/{group} delete_domain_config
GET /domains/{domain_id}/config/{group}/{option} get_domain_config,get_security_compliance_domain_config
PATCH /domains/{domain_id}/config/{group}/{option} update_domain_config
DELETE /domains/{domain_id}/config/{group}/{option} delete_domain_config
GET /domains/{domain_id}/groups/{group_id}/roles list_grants
GET /domains/{domain_id}/groups/{group_id}/roles/{role_id} check_grant 204
PUT /domains/{domain_id}/groups/{group_id}/roles/{role_id} create_grant
DELETE /domains/{domain_id}/groups/{group_id}/roles/{role_id} revoke_grant
GET /domains/{domain_id}/users/{user_id}/roles list_grants
GET /domains/{domain_id}/users/{user_id}/roles/{role_id} check_grant 204
PUT /domains/{domain_id}/users/{user_id}/roles/{role_id} create_grant
DELETE /domains/{domain_id}/users/{user_id}/roles/{role_id} revoke_grant
POST /ec2tokens ec2tokens_validate 200
GET /endpoints list_endpoints
POST /endpoints create_endpoint
GET /endpoints/{endpoint_id} get_endpoint
PATCH /endpoints/{endpoint_id} update_endpoint
DELETE /endpoints/{endpoint_id} delete_endpoint
GET /endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy get_policy_for_endpoint
GET /groups list_groups
POST /groups create_group
GET /groups/{group_id} get_group
PATCH /groups/{group_id} update_group
DELETE /groups/{group_id} delete_group
GET /groups/{group_id}/users list_users_in_group
GET /groups/{group_id}/users/{user_id} check_user_in_group 204
PUT /groups/{group_id}/users/{user_id} add_user_to_group
DELETE /groups/{group_id}/users/{user_id} remove_user_from_group
GET /limits list_limits
POST /limits create_limits
GET /limits/model get_limit_model
GET /limits/{limit_id} get_limit
PATCH /limits/{limit_id} update_limit
DELETE /limits/{limit_id} delete_limit
GET /policies list_policies
POST /policies create_policy
GET /policies/{policy_id} get_policy
PATCH /policies/{policy_id} update_policy
DELETE /policies/{policy_id} delete_policy
GET /policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints list_endpoints_for_policy
GET /policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id} check_policy_association_for_endpoint 204
PUT /policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id} create_policy_association_for_endpoint
DELETE /policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id} delete_policy_association_for_endpoint
GET /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id} check_policy_association_for_service 204
PUT /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id} create_policy_association_for_service
DELETE /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id} delete_policy_association_for_service
GET /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id} check_policy_association_for_region_and_service 204
PUT /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id} create_policy_association_for_region_and_service
DELETE /policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id} delete_policy_association_for_region_and_service
GET /projects list_projects
POST /projects create_project
GET /projects/{project_id} get_project
PATCH /projects/{project_id} update_project
DELETE /projects/{project_id} delete_project
GET /projects/{project_id}/groups/{group_id}/roles list_grants
GET /projects/{project_id}/groups/{group_id}/roles/{role_id} check_grant 204
PUT /projects/{project_id}/groups/{group_id}/roles/{role_id} create_grant
DELETE /projects/{project_id}/groups/{group_id}/roles/{role_id} revoke_grant
GET /projects/{project_id}/tags list_project_tags
PUT /projects/{project_id}/tags update_project_tags 200
DELETE /projects/{project_id}/tags delete_project_tags
GET /projects/{project_id}/tags/{value} get_project_tag 204
PUT /projects/{project_id}/tags/{value} create_project_tag 201
DELETE /projects/{project_id}/tags/{value} delete_project_tag
GET /projects/{project_id}/users/{user_id}/roles list_grants
GET /projects/{project_id}/users/{user_id}/roles/{role_id} check_grant 204
PUT /projects/{project_id}/users/{user_id}/roles/{role_id} create_grant
DELETE /projects/{project_id}/users/{user_id}/roles/{role_id} revoke_grant
GET /regions list_regions
POST /regions create_region
GET /regions/{region_id} get_region
PUT /regions/{region_id} create_region 201
PATCH /regions/{region_id} update_region
DELETE /regions/{region_id} delete_region
GET /registered_limits list_registered_limits
POST /registered_limits create_registered_limits
GET /registered_limits/{registered_limit_id} get_registered_limit
PATCH /registered_limits/{registered_limit_id} update_registered_limit
DELETE /registered_limits/{registered_limit_id} delete_registered_limit
GET /role_assignments list_role_assignments,list_role_assignments_for_tree
GET /role_inferences list_role_inference_rules
GET /roles list_roles,list_domain_roles
POST /roles create_role,create_domain_role
GET /roles/{role_id} get_role,get_domain_role
PATCH /roles/{role_id} update_role,update_domain_role
DELETE /roles/{role_id} delete_role,delete_domain_role
GET /roles/{prior_role_id}/implies list_implied_roles
GET /roles/{prior_role_id}/implies/{implied_role_id} get_implied_role
HEAD /roles/{prior_role_id}/implies/{implied_role_id} check_implied_role 204
PUT /roles/{prior_role_id}/implies/{implied_role_id} create_implied_role 201
DELETE /roles/{prior_role_id}/implies/{implied_role_id} delete_implied_role
POST /s3tokens s3tokens_validate 200
GET /services list_services
POST /services create_service
GET /services/{service_id} get_service
PATCH /services/{service_id} update_service
DELETE /services/{service_id} delete_service
GET /system/groups/{group_id}/roles list_system_grants_for_group
GET /system/groups/{group_id}/roles/{role_id} check_system_grant_for_group 204
PUT /system/groups/{group_id}/roles/{role_id} create_system_grant_for_group
DELETE /system/groups/{group_id}/roles/{role_id} revoke_system_grant_for_group
GET /system/users/{user_id}/roles list_system_grants_for_user
GET /system/users/{user_id}/roles/{role_id} check_system_grant_for_user 204
PUT /system/users/{user_id}/roles/{role_id} create_system_grant_for_user
DELETE /system/users/{user_id}/roles/{role_id} revoke_system_grant_for_user
GET /users list_users
POST /users create_user
GET /users/{user_id} get_user
PATCH /users/{user_id} update_user
DELETE /users/{user_id} delete_user
GET /users/{user_id}/OS-OAUTH1/access_tokens list_access_tokens
GET /users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id} get_access_token
DELETE /users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id} delete_access_token
GET /users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles list_access_token_roles
GET /users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles/{role_id} get_access_token_role
GET /users/{user_id}/access_rules list_access_rules
GET /users/{user_id}/access_rules/{access_rule_id} get_access_rule
DELETE /users/{user_id}/access_rules/{access_rule_id} delete_access_rule
GET /users/{user_id}/application_credentials list_application_credentials
POST /users/{user_id}/application_credentials create_application_credential
GET /users/{user_id}/application_credentials/{application_credential_id} get_application_credential
DELETE /users/{user_id}/application_credentials/{application_credential_id} delete_application_credential
GET /users/{user_id}/credentials/OS-EC2 ec2_list_credentials
POST /users/{user_id}/credentials/OS-EC2 ec2_create_credential
GET /users/{user_id}/credentials/OS-EC2/{credential_id} ec2_get_credential
DELETE /users/{user_id}/credentials/OS-EC2/{credential_id} ec2_delete_credential
GET /users/{user_id}/groups list_groups_for_user
POST /users/{user_id}/password - 204,429
GET /users/{user_id}/projects list_user_projects
DELETE /users/{user_id}/tokens revoke_tokens_for_user
""",
    prefix="identity:",
)
